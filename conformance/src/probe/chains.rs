//! Certificates of the laboratory's chains, as scripts name them: `good.0` is the first of the chain `good`.

use crate::role::certificates::{CertificateForm, Identity};
use crate::wire::TlsIdentity;

/// One certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    chain: CertificateForm,
    index: usize,
}

impl Certificate {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, index) = text.split_once('.').unwrap_or((text, "0"));
        let index = index
            .parse()
            .map_err(|_| format!("`{index}` is no place in a chain: write `good.0`"))?;
        let chain = chain(name)?;
        Ok(Self { chain, index })
    }

    pub fn der(self) -> Result<Vec<u8>, String> {
        let mut held = identity(self.chain)?.chain;
        match self.index < held.len() {
            true => Ok(held.swap_remove(self.index)),
            false => Err(format!(
                "the chain `{}` has {} certificates",
                self.chain,
                held.len()
            )),
        }
    }
}

pub fn chain(name: &str) -> Result<CertificateForm, String> {
    let mut all = CertificateForm::ALL.iter();
    if let Some(found) = all.find(|form| form.to_string() == name) {
        return Ok(*found);
    }
    let names: Vec<String> = CertificateForm::ALL
        .iter()
        .map(ToString::to_string)
        .collect();
    let near = amt_sim::diagnostic::closest(name, names.iter().map(String::as_str));
    let help = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
    Err(format!(
        "no chain of the laboratory is called `{name}`{help}"
    ))
}

pub fn identity(chain: CertificateForm) -> Result<Identity, String> {
    Identity::of(chain).map_err(|error| error.to_string())
}

/// What a client shows who holds that chain.
pub fn shown(chain: CertificateForm) -> Result<TlsIdentity, String> {
    let own = identity(chain)?;
    TlsIdentity::new(&own.chain, &own.pkcs8).map_err(|error| error.to_string())
}
