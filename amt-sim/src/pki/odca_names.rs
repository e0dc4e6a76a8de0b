//! What the authorities of an on-die chain are called, and where their revocation lists are.
//!
//! ```text
//!              Tiger Lake                          Alder Lake                            from Meteor Lake on
//!   leaf       iAMT CSME IDevID RCFG               iAMT CSME IDevID RCFG                 AMT RCFG
//!   AMT        CSME TGL AMT  01SVN                 CSME ADL AMT  01SVN                   ODCA 2 CSME LNL SOC SVN 01 AMT   CA
//!   kernel     CSME TGL SVN01 Kernel CA            CSME ADL SVN01 Kernel CA              ODCA 2 CSME LNL SOC SVN 01 Kernel CA
//!   ROM        CSME TGL ROM CA                     CSME ADL ROM CA                       ODCA 2 CSME LNL SOC ROM CA
//!   issuing    On Die CSME P_TGL 00001881 …        ODCA 2 CSME P_ADL 00002701 …          ODCA 2 CSME P_LNL SOC 00003648 ZE …
//!   above      OnDie CA CSME Intermediate CA       ODCA CA2 CSME Intermediate CA         ODCA CA2 CSME Intermediate CA
//! ```
//! Seen are the chains of Lunar Lake and Panther Lake, and the upper part of the older ones. The AMT authority of the
//! older ones is not (`device.assumed.on-die-names`).

use rcgen::{DistinguishedName, DnType};

/// Where in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Intermediate,
    Issuing,
    Rom,
    Kernel,
    Amt,
    Leaf,
}

/// What a leaf is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Remote configuration: the TLS server of set-up.
    Rcfg,
    /// What WS-Management signs.
    WsMan,
    /// The audit log's signature.
    AuditLog,
    /// Platform trust technology, which is no part of AMT.
    Ptt,
}

impl Place {
    pub(super) const ALL: [Self; 7] = [
        Self::Root,
        Self::Intermediate,
        Self::Issuing,
        Self::Rom,
        Self::Kernel,
        Self::Amt,
        Self::Leaf,
    ];

    /// The same for all devices.
    pub(super) const fn is_shared(self) -> bool {
        matches!(self, Self::Root | Self::Intermediate | Self::Issuing)
    }

    /// Who certifies it.
    pub(super) const fn above(self) -> Self {
        match self {
            Self::Root | Self::Intermediate => Self::Root,
            Self::Issuing => Self::Intermediate,
            Self::Rom => Self::Issuing,
            Self::Kernel => Self::Rom,
            Self::Amt => Self::Kernel,
            Self::Leaf => Self::Amt,
        }
    }

    /// The intermediate authority revokes it in the issuer's stead.
    pub(super) const fn is_revoked_indirectly(self) -> bool {
        matches!(self, Self::Kernel | Self::Amt | Self::Leaf)
    }
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Rcfg => "RCFG",
            Self::WsMan => "WS-MAN",
            Self::AuditLog => "AuditL",
            Self::Ptt => "PTT",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// AMT 15.
    First,
    /// AMT 16.
    Second,
    /// From AMT 18 on.
    Soc,
}

/// The names of one platform's chain.
#[derive(Debug, Clone)]
pub(super) struct Names {
    family: String,
    style: Style,
}

impl Names {
    pub(super) fn of(family: &str, amt: u16) -> Self {
        Self {
            family: family.to_owned(),
            style: match amt {
                ..=15 => Style::First,
                16..=17 => Style::Second,
                _ => Style::Soc,
            },
        }
    }

    pub(super) fn subject(&self, place: Place, purpose: Purpose) -> DistinguishedName {
        let mut name = DistinguishedName::new();
        match place {
            Place::Root => {
                name.push(DnType::CountryName, "US");
                name.push(DnType::OrganizationName, "amt-sim");
                name.push(
                    DnType::OrganizationalUnitName,
                    "amt-sim OnDie CA Root Cert Signing",
                );
                name.push(DnType::CommonName, "amt-sim on-die root, not Intel's");
            }
            Place::Intermediate | Place::Issuing => {
                name.push(DnType::OrganizationalUnitName, self.authority(place));
                name.push(DnType::CommonName, "www.intel.com");
            }
            _ => name.push(DnType::CommonName, self.common_name(place, purpose)),
        }
        name
    }

    /// Of the two authorities that are known by their units.
    fn authority(&self, place: Place) -> String {
        let family = &self.family;
        match (place, self.style) {
            (Place::Issuing, Style::First) => format!("On Die CSME P_{family} 00001881 Issuing CA"),
            (Place::Issuing, Style::Second) => {
                format!("ODCA 2 CSME P_{family} 00002701 Issuing CA")
            }
            (Place::Issuing, Style::Soc) => {
                format!("ODCA 2 CSME P_{family} SOC 00003648 ZE Issuing CA")
            }
            (_, Style::First) => "OnDie CA CSME Intermediate CA".to_owned(),
            _ => "ODCA CA2 CSME Intermediate CA".to_owned(),
        }
    }

    fn common_name(&self, place: Place, purpose: Purpose) -> String {
        let family = &self.family;
        match (place, self.style) {
            (Place::Leaf, _) if purpose == Purpose::Ptt => format!("CSME {family} PTT  01SVN"),
            (Place::Leaf, Style::Soc) => format!("AMT {}", purpose.word()),
            (Place::Leaf, _) => format!("iAMT CSME IDevID {}", purpose.word()),
            (Place::Amt, Style::Soc) => format!("ODCA 2 CSME {family} SOC SVN 01 AMT   CA"),
            (Place::Amt, _) => format!("CSME {family} AMT  01SVN"),
            (Place::Kernel, Style::Soc) => format!("ODCA 2 CSME {family} SOC SVN 01 Kernel CA"),
            (Place::Kernel, _) => format!("CSME {family} SVN01 Kernel CA"),
            (_, Style::Soc) => format!("ODCA 2 CSME {family} SOC ROM CA"),
            _ => format!("CSME {family} ROM CA"),
        }
    }

    /// The day on which validity begins.
    pub(super) fn since(&self, place: Place) -> (i32, u8, u8) {
        match (place, self.style) {
            (Place::Root | Place::Intermediate, _) => (2019, 4, 3),
            (_, Style::First) => (2020, 9, 1),
            (_, Style::Second) => (2021, 11, 1),
            (Place::Issuing, Style::Soc) => (2024, 6, 1),
            (_, Style::Soc) => (2025, 8, 12),
        }
    }

    /// Where the list is that a certificate at this place would be in, were it revoked.
    pub(super) fn revocation_list(&self, place: Place) -> Option<String> {
        let generation = match self.style {
            Style::First => "OnDie_CA",
            _ => "ODCA_CA2",
        };
        let number = match self.style {
            Style::First => "00001881",
            Style::Second => "00002701",
            Style::Soc => "00003648",
        };
        let file = match place {
            Place::Root => return None,
            Place::Intermediate => "OnDie_CA.crl".to_owned(),
            // The first generation's is seen. Another authority signs that of the second, so it has another address.
            Place::Issuing => format!("{generation}_CSME_Product.crl"),
            Place::Rom => format!("{}_{number}_OnDie_CA.crl", self.family),
            Place::Kernel | Place::Amt | Place::Leaf => format!("{generation}_CSME_Indirect.crl"),
        };
        Some(format!(
            "https://tsci.intel.com/content/OnDieCA/crls/{file}"
        ))
    }
}
