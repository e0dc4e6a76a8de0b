//! Methods: what a client asked for, and what comes of it.
//!
//! ```ignore
//! pub(crate) const METHODS: &[Method] = &[Method {
//!     class: "AMT_SetupAndConfigurationService",
//!     name: "SetMEBxPassword",
//!     access: Access::Administrator,
//!     call: set_mebx_password,
//! }];
//!
//! fn set_mebx_password(call: &mut Call<'_>) -> Outcome {
//!     let Some(password) = call.input.text("Password") else {
//!         return Outcome::status(status::INVALID_PARAMETER);
//!     };
//!     call.fw.remember(|state| state.mebx = digest(password));
//!     Outcome::OK
//! }
//! ```

use super::fault::Fault;
use super::request::Element;
use super::value::{Reference, Selectors, Value};
use super::{After, base64};
use crate::device::{Caller, Firmware, Realm};

/// One method of one class, in Rust. Its parameters are described in the class's data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    pub(crate) access: Access,
    pub(crate) call: fn(&mut Call<'_>) -> Outcome,
}

impl Method {
    pub(crate) const fn new(
        class: &'static str,
        name: &'static str,
        access: Access,
        call: fn(&mut Call<'_>) -> Outcome,
    ) -> Self {
        Self {
            class,
            name,
            access,
            call,
        }
    }
}

/// Who may call a method. `admin` may always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Administrator,
    /// The operating system's own account too.
    OsAdmin,
    /// Whoever has one of these realms. `$$OsAdmin` has those of `access::OS_ADMIN_REALMS`.
    Realms(&'static [Realm]),
    /// Whoever could log in.
    Anyone,
}

/// One call of a method.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) fw: &'a mut Firmware,
    pub(crate) caller: &'a Caller,
    /// All keys of the instance that was called; empty for a class without instances.
    pub(crate) instance: Selectors,
    pub(crate) input: &'a Input,
}

/// A method's parameters as they were sent: names without prefixes. Empty elements count as empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Input(pub(crate) Vec<Element>);

impl Input {
    fn element(&self, name: &str) -> Option<&Element> {
        self.0.iter().find(|element| element.name == name)
    }

    /// Whether the parameter was sent at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.element(name).is_some()
    }

    /// The first one's text, without white space around it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.element(name).map(|element| element.text.trim())
    }

    /// The first one's text exactly as sent: for passwords.
    pub(crate) fn raw_text(&self, name: &str) -> Option<&str> {
        self.element(name).map(|element| element.text.as_str())
    }

    /// Base64, decoded.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        base64::decode(self.text(name)?)
    }

    /// A decimal number of any width; a minus sign is taken.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A number that must fit its type: `input.fits::<u16>("Port")`.
    pub(crate) fn fits<N: TryFrom<i64>>(&self, name: &str) -> Option<N> {
        N::try_from(self.number(name)?).ok()
    }

    /// `true`, `false`, `1`, `0`.
    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        parse_bool(self.text(name)?)
    }

    /// An endpoint reference.
    pub(crate) fn reference(&self, name: &str) -> Option<Reference> {
        self.element(name)?.reference()
    }

    /// The texts of every element of this name: an array.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|element| element.name == name)
            .map(|element| element.text.trim())
            .collect()
    }

    /// Every endpoint reference of this name.
    pub(crate) fn references(&self, name: &str) -> Vec<Reference> {
        self.elements(name).filter_map(Element::reference).collect()
    }

    /// An embedded instance's properties: the children of the first element of this name.
    pub(crate) fn embedded(&self, name: &str) -> Option<Input> {
        self.element(name)
            .map(|element| Self(element.children.clone()))
    }

    /// Every element of this name, for shapes that nothing else here fits.
    pub(crate) fn elements<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.0.iter().filter(move |element| element.name == name)
    }
}

/// The two spellings of XML Schema, and what xml2js makes of them.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "1" => Some(true),
        "false" | "False" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}

/// What a method came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// A number of [`status`], or of the CIM lists.
    pub(crate) return_value: u32,
    /// Output parameters in the order of the wire; `ReturnValue` follows them.
    pub(crate) output: Vec<(&'static str, Value)>,
    pub(crate) after: After,
    /// Answer with this fault instead.
    pub(crate) fault: Option<Fault>,
}

impl Outcome {
    pub(crate) const OK: Self = Self::status(status::SUCCESS);

    /// This return value and no output.
    pub(crate) const fn status(return_value: u32) -> Self {
        Self {
            return_value,
            output: Vec::new(),
            after: After::Nothing,
            fault: None,
        }
    }

    /// No method answer at all.
    pub(crate) const fn fault(fault: Fault) -> Self {
        let mut outcome = Self::status(status::INTERNAL_ERROR);
        outcome.fault = Some(fault);
        outcome
    }

    /// The same with one more output parameter.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.output.push((name, value.into()));
        self
    }

    /// The same, and then something.
    #[must_use]
    pub(crate) const fn then(mut self, after: After) -> Self {
        self.after = after;
        self
    }
}

/// Return values, by their names in the AMT guide (PT_STATUS) and, at the end, in the CIM state-change list.
///
/// Source: "Intel AMT Implementation and Reference Guide", page "Errors and return values"; MOF value maps.
pub(crate) mod status {
    macro_rules! statuses {
        ($($name:ident = $value:literal;)*) => {
            $(pub(crate) const $name: u32 = $value;)*

            /// The name of a value that means the same in every method: PT_STATUS from 12 on, and 0.
            ///
            /// Below, every method's class counts for itself.
            pub(crate) fn name(value: u32) -> Option<&'static str> {
                const NAMES: &[(u32, &str)] = &[$(($name, stringify!($name))),*];
                let (_, name) = NAMES.iter().find(|(known, _)| *known == value)?;
                (value == SUCCESS || value >= INVALID_NAME).then_some(*name)
            }
        };
    }

    statuses! {
        SUCCESS = 0;
        INTERNAL_ERROR = 1;
        NOT_READY = 2;
        INVALID_NAME = 12;
        NOT_PERMITTED = 16;
        MAX_LIMIT_REACHED = 23;
        INVALID_PROVISIONING_STATE = 32;
        INVALID_INDEX = 35;
        INVALID_PARAMETER = 36;
        FLASH_WRITE_LIMIT_EXCEEDED = 38;
        INVALID_HANDLE = 2053;
        INVALID_PASSWORD = 2054;
        INVALID_REALM = 2055;
        DATA_MISSING = 2057;
        DUPLICATE = 2058;
        PKI_MISSING_KEYS = 2060;
        PKI_GENERATING_KEYS = 2061;
        INVALID_KEY = 2062;
        INVALID_CERTIFICATE = 2063;
        CERTIFICATE_KEY_MISMATCH = 2064;
        MAX_KERBEROS_DOMAINS_REACHED = 2065;
        UNSUPPORTED = 2066;
        NOT_FOUND = 2068;
        INVALID_CREDENTIALS = 2069;
        AUDIT_FAIL = 2075;
        BLOCKING_COMPONENT = 2076;
        USER_CONSENT_REQUIRED = 2081;
        OPERATION_IN_PROGRESS = 2082;
    }

    /// Methods that CIM itself defines (RequestStateChange and others) count differently.
    pub(crate) mod cim {
        pub(crate) const NOT_SUPPORTED: u32 = 1;
        pub(crate) const UNKNOWN_ERROR: u32 = 2;
        pub(crate) const INVALID_PARAMETER: u32 = 5;
    }
}
