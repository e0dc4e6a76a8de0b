//! Which of the device's own ports are open on which side, and whether TLS asks for a certificate there.
//!
//! ```text
//!                     host side                          LAN side
//!   not provisioned   plain (TLS only where enforced)    closed
//!   set-up            as before; host-based: TLS only    out of band: TLS once the key is made, else closed
//!   operational       as AMT_TLSSettingData says         as AMT_TLSSettingData says
//! ```
//! Settings count as CommitChanges left them, not as they were last put.

use super::account::Interface;
use super::firmware::Firmware;
use super::key_store::{TlsPort, TlsSettings};
use super::mode::{Mode, ProvisioningState};
use super::rule::Rule;
use super::setup::out_of_band::interface_is_open;
use crate::tls::ClientCertificates;

/// What is listened to on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The ports without TLS: 16992 and its companions.
    pub(crate) plain: bool,
    /// The ports with TLS: 16993 and its companions.
    pub(crate) tls: bool,
}

impl TlsSettings {
    /// Before anybody configured it: off, except where the firmware has nothing else.
    fn factory(enforced: bool) -> Self {
        Self {
            network: TlsPort {
                enabled: enforced,
                ..TlsPort::default()
            },
            local: TlsPort {
                enabled: enforced,
                accept_plain: !enforced,
                ..TlsPort::default()
            },
            certificate: None,
        }
    }

    /// As they were last committed.
    pub(crate) fn in_force(fw: &Firmware) -> Self {
        let committed = fw.state.tls.clone();
        committed.unwrap_or_else(|| Self::factory(is_enforced(fw)))
    }

    pub(crate) fn side(&self, side: Interface) -> &TlsPort {
        match side {
            Interface::Local => &self.local,
            Interface::Network => &self.network,
        }
    }
}

/// Whether this firmware has no port without TLS, whatever anybody configures.
fn is_enforced(fw: &Firmware) -> bool {
    fw.profile.capabilities.local_tls_enforced && fw.enforced(Rule::TLS_LOCAL_ENFORCED)
}

/// What is listened to on this side now.
pub(crate) fn listening(fw: &Firmware, side: Interface) -> Listening {
    const CLOSED: Listening = Listening {
        plain: false,
        tls: false,
    };
    let mode = fw.mode();
    let operational = mode.provisioning_state() == ProvisioningState::Post;
    match side {
        _ if !mode.enabled() => CLOSED,
        Interface::Network => match mode {
            Mode::SetupOutOfBand if interface_is_open(fw) => Listening {
                plain: false,
                tls: true,
            },
            _ if operational => by_settings(fw, side),
            _ => CLOSED,
        },
        Interface::Local if mode == Mode::SetupHostBased => Listening {
            plain: false,
            tls: true,
        },
        Interface::Local => by_settings(fw, side),
    }
}

fn by_settings(fw: &Firmware, side: Interface) -> Listening {
    let enforced = is_enforced(fw);
    let settings = TlsSettings::in_force(fw);
    let port = settings.side(side);
    let shut = port.enabled && !port.accept_plain && fw.enforced(Rule::TLS_PLAIN_CLOSED);
    Listening {
        plain: !enforced && !shut,
        // One management server turns TLS on for the LAN alone, and then comes through the host.
        tls: enforced || port.enabled || (side == Interface::Local && settings.network.enabled),
    }
}

/// Whether a TLS client on this side must show a certificate.
pub(crate) fn client_certificates(fw: &Firmware, side: Interface) -> ClientCertificates {
    let sets_up = super::setup::peer::sets_up(fw, side);
    let mutual = TlsSettings::in_force(fw).side(side).mutual;
    if (sets_up || mutual) && fw.enforced(Rule::TLS_CLIENT_CERTIFICATE) {
        ClientCertificates::Required
    } else if sets_up || mutual {
        ClientCertificates::Optional
    } else {
        ClientCertificates::NotAsked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Profile, Rules};
    use crate::http::testing::{with_profile, without};
    use rstest::rstest;

    use Interface::{Local, Network};

    const ENFORCED: &str = "arrow-lake-19";
    const PLAIN: &str = "tiger-lake-15";

    fn firmware(profile: &str, mode: Mode, rules: Rules) -> Firmware {
        with_profile(Profile::builtin(profile).unwrap(), mode, rules)
    }

    fn open(fw: &Firmware, side: Interface) -> (bool, bool) {
        let listening = listening(fw, side);
        (listening.plain, listening.tls)
    }

    #[rstest]
    #[case(PLAIN, Mode::Disabled, (false, false), (false, false))]
    #[case(PLAIN, Mode::PreProvisioning, (true, false), (false, false))]
    #[case(PLAIN, Mode::SetupHostBased, (false, true), (false, false))]
    #[case(PLAIN, Mode::SetupOutOfBand, (true, false), (false, true))]
    #[case(PLAIN, Mode::SetupElapsed, (true, false), (false, false))]
    #[case(PLAIN, Mode::HalfAdmin, (true, false), (false, false))]
    #[case(PLAIN, Mode::Client, (true, false), (true, false))]
    #[case(PLAIN, Mode::Admin, (true, false), (true, false))]
    #[case(ENFORCED, Mode::Disabled, (false, false), (false, false))]
    #[case(ENFORCED, Mode::PreProvisioning, (false, true), (false, false))]
    #[case(ENFORCED, Mode::HalfClient, (false, true), (false, false))]
    #[case(ENFORCED, Mode::Client, (false, true), (false, true))]
    #[case(ENFORCED, Mode::Admin, (false, true), (false, true))]
    fn before_anybody_configured_tls(
        #[case] profile: &str,
        #[case] mode: Mode,
        #[case] host: (bool, bool),
        #[case] lan: (bool, bool),
    ) {
        let fw = firmware(profile, mode, Rules::default());
        assert_eq!((open(&fw, Local), open(&fw, Network)), (host, lan));
    }

    #[rstest]
    #[case::off(false, true, (true, false))]
    #[case::off_and_nothing_else(false, false, (true, false))]
    #[case::both(true, true, (true, true))]
    #[case::tls_alone(true, false, (false, true))]
    fn as_it_was_committed(
        #[case] enabled: bool,
        #[case] accept_plain: bool,
        #[case] expected: (bool, bool),
        #[values(Local, Network)] side: Interface,
    ) {
        let mut fw = firmware(PLAIN, Mode::Admin, Rules::default());
        let mut settings = TlsSettings::in_force(&fw);
        let port = match side {
            Local => &mut settings.local,
            Network => &mut settings.network,
        };
        *port = TlsPort {
            enabled,
            accept_plain,
            ..TlsPort::default()
        };
        fw.state.tls = Some(settings);
        assert_eq!(open(&fw, side), expected);
    }

    #[test]
    fn tls_for_the_lan_is_tls_for_the_host_too() {
        let mut fw = firmware(PLAIN, Mode::Admin, Rules::default());
        let mut settings = TlsSettings::in_force(&fw);
        settings.network.enabled = true;
        fw.state.tls = Some(settings);
        assert_eq!(open(&fw, Local), (true, true));
    }

    #[rstest]
    #[case(ENFORCED, "device.tls.local-enforced")]
    #[case(PLAIN, "device.tls.plain-closed")]
    fn knocked_out(#[case] profile: &str, #[case] rule: &str) {
        let plain = |rules| {
            let mut fw = firmware(profile, Mode::Admin, rules);
            let mut settings = TlsSettings::in_force(&fw);
            settings.local.enabled = true;
            settings.local.accept_plain = rule == "device.tls.local-enforced";
            fw.state.tls = Some(settings);
            listening(&fw, Local).plain
        };
        assert!(!plain(Rules::default()));
        assert!(plain(without(rule)));
    }

    #[rstest]
    #[case(Mode::SetupHostBased, Local, ClientCertificates::Required)]
    #[case(Mode::SetupOutOfBand, Network, ClientCertificates::Required)]
    #[case(Mode::PreProvisioning, Local, ClientCertificates::NotAsked)]
    #[case(Mode::Admin, Network, ClientCertificates::NotAsked)]
    fn who_must_show_a_certificate(
        #[case] mode: Mode,
        #[case] side: Interface,
        #[case] expected: ClientCertificates,
    ) {
        let fw = firmware(PLAIN, mode, Rules::default());
        assert_eq!(client_certificates(&fw, side), expected);
    }

    #[test]
    fn mutual_authentication_is_one_sides_matter() {
        let of = |rules, side| {
            let mut fw = firmware(PLAIN, Mode::Admin, rules);
            let mut settings = TlsSettings::in_force(&fw);
            settings.network.enabled = true;
            settings.network.mutual = true;
            fw.state.tls = Some(settings);
            client_certificates(&fw, side)
        };
        assert_eq!(of(Rules::default(), Network), ClientCertificates::Required);
        assert_eq!(of(Rules::default(), Local), ClientCertificates::NotAsked);
        let lax = without("device.tls.client-certificate");
        assert_eq!(of(lax, Network), ClientCertificates::Optional);
    }
}
