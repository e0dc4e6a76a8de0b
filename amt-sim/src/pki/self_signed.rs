//! The certificate that a device makes for itself, until somebody gives it a better one.
//!
//! Nobody outside knows what is in the real one; only that it is one certificate, signed with its own key.

use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};

use super::authority::{AuthorityError, Party};

/// A certificate signed with its own key, and that key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfSigned {
    /// DER.
    pub certificate: Vec<u8>,
    /// PKCS#8 DER.
    pub key: Vec<u8>,
}

impl SelfSigned {
    /// The certificate of the device called `host`. `device` tells devices apart: the serial number follows from
    /// it. All of them have the one key that comes with the program, since making one takes the CPU seconds.
    pub fn for_device(host: &str, device: &str) -> Result<Self, AuthorityError> {
        let party = Party::new(&format!("device {device}"), fixtures::keys::SELF_SIGNED)?;
        let mut params = party.params(host, None);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = false;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // A name that cannot stand there is left to the common name alone.
        params.subject_alt_names = host.try_into().map(SanType::DnsName).into_iter().collect();
        let certificate = params.self_signed(&party)?;
        Ok(Self {
            certificate: certificate.der().to_vec(),
            key: party.pkcs8()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_device_has_the_same_certificate() {
        let of = |host, device| SelfSigned::for_device(host, device).unwrap();
        let first = of("vpro-tgl.corp.example", "1");
        assert_eq!(first, of("vpro-tgl.corp.example", "1"));
        assert_ne!(first, of("vpro-tgl.corp.example", "2"));
        assert_ne!(first, of("vpro-adl.corp.example", "1"));
    }

    #[test]
    fn a_host_without_a_name_has_one_too() {
        assert!(SelfSigned::for_device("", "1").is_ok());
        assert!(SelfSigned::for_device("Büro PC", "1").is_ok());
    }
}
