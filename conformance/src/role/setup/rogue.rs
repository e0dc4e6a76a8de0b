//! The host's own administrator, who means no good: takes the device out of service without any password, as anybody may
//! who may open the MEI device, and sets it up again with a password of his own.

use amt_sim::device::Seed;
use rsa::Pkcs1v15Sign;
use sha2::{Digest as _, Sha256};

use super::application::{password, read_nonce};
use super::record::Record;
use super::server::{HashName, Question, Reply, Server, ask};
use super::{Host, SERVICE, Trouble};
use crate::role::certificates::Identity;
use crate::scenario::{Order, RogueClock, RogueSigns};
use crate::wire::{Client, base64};

/// The rogue that comes with the harness.
#[derive(Debug)]
pub struct Rogue {
    seed: Seed,
    draws: u64,
}

type Parameters = Vec<(&'static str, String)>;

impl Rogue {
    /// Tries to hit the one second of the genuine set-up.
    const TRIES: usize = 5;

    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, draws: 0 }
    }

    pub(super) fn set_up_signed(
        &mut self,
        host: Host<'_>,
        order: &Order,
        server: &mut Server,
    ) -> Result<bool, Trouble> {
        self.take_over(host, order, |rogue, client| {
            rogue.signed(host, client, order.signs_with, server)
        })
    }

    pub(super) fn set_up_unsigned(
        &mut self,
        host: Host<'_>,
        order: &Order,
    ) -> Result<bool, Trouble> {
        self.take_over(host, order, |_, _| Ok(Vec::new()))
    }

    /// Out of service, then into service again.
    fn take_over(
        &mut self,
        host: Host<'_>,
        order: &Order,
        mut more: impl FnMut(&mut Self, &mut Client<'_>) -> Result<Parameters, Trouble>,
    ) -> Result<bool, Trouble> {
        let genuine = Record::read(&mut host.os_admin()?)?.map(|record| record.created);
        for _ in 0..Self::TRIES {
            let status = host.amthi()?.unprovision()?;
            if status != 0 {
                return Err(Trouble::Other(format!("Unprovision: status {status:#x}")));
            }
            let mut client = host.os_admin()?;
            let mut parameters = password(&mut client, "admin", "R0gue!2345")?;
            parameters.extend(more(self, &mut client)?);
            if order.clock == RogueClock::SetBack {
                set_clock(&mut client, genuine.as_deref())?;
            }
            let answer = client.invoke(SERVICE, "Setup", &parameters)?;
            if answer.return_value != 0 {
                return Ok(false);
            }
            let created = Record::read(&mut client)?.map(|record| record.created);
            if order.clock == RogueClock::Untouched || created == genuine {
                return Ok(true);
            }
        }
        Err(Trouble::Other(
            "the second of the genuine set-up was not hit".to_owned(),
        ))
    }

    fn signed(
        &mut self,
        host: Host<'_>,
        client: &mut Client<'_>,
        with: RogueSigns,
        server: &mut Server,
    ) -> Result<Parameters, Trouble> {
        self.draws += 1;
        let mc_nonce: [u8; 20] = self.seed.bytes("rogue McNonce", self.draws);
        let message = [read_nonce(client)?.as_slice(), &mc_nonce].concat();
        let hash = Sha256::digest(&message);
        let (signature, certificate) = match with {
            RogueSigns::Own => {
                let identity = Identity::rogue()?;
                let signature = identity
                    .key
                    .sign(Pkcs1v15Sign::new::<Sha256>(), &hash)
                    .map_err(|error| Trouble::Other(error.to_string()))?;
                (base64::encode(&signature), base64::encode(identity.leaf()))
            }
            RogueSigns::Genuine => {
                let question = Question::Sign {
                    uuid: host.amthi()?.uuid()?.to_string(),
                    algorithm: HashName::Sha256,
                    hash: amt_sim::hex::encode(&hash),
                };
                match ask(server, &question, &Order::default()) {
                    Ok(Reply::Signed { signature, chain }) => {
                        (signature, chain.into_iter().next().unwrap_or_default())
                    }
                    Ok(_) => return Err(Trouble::Server("it did not sign".to_owned())),
                    Err(why) => return Err(Trouble::Server(why)),
                }
            }
        };
        Ok(vec![
            ("McNonce", base64::encode(&mc_nonce)),
            ("Certificate", certificate),
            ("SigningAlgorithm", Order::RSA_SHA_256.to_string()),
            ("DigitalSignature", signature),
        ])
    }
}

/// Sets the machine's clock, as every program may that keeps it in step with the host's.
fn set_clock(client: &mut Client<'_>, to: Option<&str>) -> Result<(), Trouble> {
    const CLASS: &str = "AMT_TimeSynchronizationService";
    let to = to
        .and_then(unix_seconds)
        .ok_or_else(|| Trouble::Other("there is no time to go back to".to_owned()))?;
    let now = client.invoke(CLASS, "GetLowAccuracyTimeSynch", &[])?;
    let ta0 = now.output.number("Ta0")?;
    let parameters = [
        ("Ta0", ta0.to_string()),
        ("Tm1", to.to_string()),
        ("Tm2", to.to_string()),
    ];
    let answer = client.invoke(CLASS, "SetHighAccuracyTimeSynch", &parameters)?;
    match answer.return_value {
        0 => Ok(()),
        value => Err(Trouble::Other(format!(
            "SetHighAccuracyTimeSynch returned {value}"
        ))),
    }
}

/// `2026-01-01T00:00:05Z` as seconds since 1970.
fn unix_seconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counts from March, so that the leap day is the last of its year.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1970-01-01T00:00:00Z", Some(0))]
    #[case("2000-02-29T00:00:00Z", Some(951_782_400))]
    #[case("2025-12-31T23:59:59Z", Some(1_767_225_599))]
    #[case("2026-01-01T00:00:05Z", Some(1_767_225_605))]
    #[case("2026-01-01", None)]
    #[case("2026-13-01T00:00:05Z", None)]
    #[case("", None)]
    fn times(#[case] text: &str, #[case] want: Option<u64>) {
        assert_eq!(unix_seconds(text), want);
    }
}
