//! The addresses of one device or of many: `127.0.0.9`, counted up from there, or `127.1.0.0/16`, counted up within.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// What `--address` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    first: IpAddr,
    /// Bits that stay the same.
    prefix: Option<u8>,
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address; write 127.0.0.9 or 127.1.0.0/16");
        match text.split_once('/') {
            None => Ok(Self {
                first: text.parse().map_err(|_| wrong())?,
                prefix: None,
            }),
            Some((first, prefix)) => {
                let first: Ipv4Addr = first.parse().map_err(|_| wrong())?;
                let prefix = prefix.parse().map_err(|_| wrong())?;
                if !(1..=32).contains(&prefix) {
                    return Err(format!(
                        "{text:?}: a range has 1 to 32 bits that stay the same"
                    ));
                }
                Ok(Self {
                    first: first.into(),
                    prefix: Some(prefix),
                })
            }
        }
    }
}

impl Addresses {
    /// One for each of so many devices.
    pub(crate) fn take(self, count: u32) -> Result<Vec<IpAddr>, String> {
        let IpAddr::V4(first) = self.first else {
            return match count {
                1 => Ok(vec![self.first]),
                _ => Err("many devices need an IPv4 address to count up from".to_owned()),
            };
        };
        let prefix = self.prefix.unwrap_or(8);
        // A range of 32 bits is one address.
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let start = match self.prefix {
            Some(_) => first.to_bits() & mask,
            None => first.to_bits(),
        };
        let end = (first.to_bits() & mask) | !mask;
        // Firmware never has an address that ends in 0 or 255, unless somebody gave it just that one.
        let usual = |address: &u32| !matches!(address & 0xff, 0 | 0xff);
        let exact = (self.prefix.is_none() || prefix == 32).then_some(start);
        let rest = (start..=end).filter(|address| Some(*address) != exact && usual(address));
        let all = exact.into_iter().chain(rest);
        let taken: Vec<IpAddr> = all
            .take(count as usize)
            .map(|address| IpAddr::V4(Ipv4Addr::from_bits(address)))
            .collect();
        if taken.len() < count as usize {
            return Err(format!(
                "there are {} addresses for {count} devices; give a wider range, as in 127.1.0.0/16",
                taken.len()
            ));
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.9", 1, "127.0.0.9", "127.0.0.9")]
    #[case("127.0.0.9", 3, "127.0.0.9", "127.0.0.11")]
    #[case("127.0.0.253", 4, "127.0.0.253", "127.0.1.2")]
    #[case("127.0.0.0", 2, "127.0.0.0", "127.0.0.1")]
    #[case("127.1.0.0/16", 1, "127.1.0.1", "127.1.0.1")]
    #[case("127.1.0.0/16", 10_000, "127.1.0.1", "127.1.39.94")]
    #[case("127.0.0.5/32", 1, "127.0.0.5", "127.0.0.5")]
    #[case("::1", 1, "::1", "::1")]
    fn counted_up(#[case] text: &str, #[case] count: u32, #[case] first: &str, #[case] last: &str) {
        let all = text.parse::<Addresses>().unwrap().take(count).unwrap();
        let ends = (all[0].to_string(), all[all.len() - 1].to_string());
        assert_eq!(ends, (first.to_owned(), last.to_owned()));
        let mut sorted = all.clone();
        sorted.dedup();
        assert_eq!(sorted.len(), count as usize);
    }

    #[rstest]
    #[case("127.0.0.0/24", 255)]
    #[case("127.0.0.5/32", 2)]
    #[case("::1", 2)]
    #[case("127.255.255.250", 100)]
    fn not_enough(#[case] text: &str, #[case] count: u32) {
        assert!(text.parse::<Addresses>().unwrap().take(count).is_err());
    }

    #[rstest]
    #[case("localhost")]
    #[case("127.0.0.1/0")]
    #[case("127.0.0.1/33")]
    #[case("::1/64")]
    fn no_addresses(#[case] text: &str) {
        assert!(text.parse::<Addresses>().is_err());
    }
}
