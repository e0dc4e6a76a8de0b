//! The faults that the device answers with, in the words of real firmware where they are known.
//!
//! Source: answers of real devices as public clients parse them; DSP0226 annex "WS-Management faults"; the AMT
//! guide's page "Errors and return values".

/// Why an operation failed as a whole. A method that ran and refused is no fault: it has a return value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No such class, or no such instance.
    DestinationUnreachable,
    /// Create of what is there already.
    AlreadyExists,
    /// A body that does not fit the class: something is missing.
    MissingValues,
    /// A body that does not fit the class: something has a value that it cannot have.
    InvalidValues,
    /// No room for one more.
    QuotaLimit,
    /// PT_STATUS of an operation that is no method.
    Internal(u32),
    /// Not in this mode, not without consent, or not at all.
    AccessDenied,
    /// Selectors that name no property of the class.
    InvalidSelectors,
    /// The class has no such operation or method.
    ActionNotSupported,
    /// Part of the standard that the device leaves out.
    UnsupportedFeature,
    /// Pull or Release with a context that is unknown or used up.
    InvalidEnumerationContext,
    /// Enumerate with a filter.
    FilteringNotSupported,
    /// A method's parameter that cannot be read.
    InvalidParameter,
    /// The request is no SOAP envelope as WS-Management wants it.
    SchemaValidation,
    /// A header was left out that the action needs.
    HeaderRequired,
    /// A header that must be understood and is not.
    MustUnderstand,
}

/// How a fault looks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// `a:Sender` or `a:Receiver`, without the prefix; `MustUnderstand` has no subcode.
    pub(crate) code: &'static str,
    /// With the prefixes of fault answers, such as `b:DestinationUnreachable`.
    pub(crate) subcode: &'static str,
    pub(crate) reason: &'static str,
    /// What stands behind `http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/`.
    pub(crate) detail: Option<&'static str>,
}

impl Fault {
    #[rustfmt::skip]
    pub(crate) const fn shape(&self) -> Shape {
        const fn sender(subcode: &'static str, reason: &'static str, detail: Option<&'static str>) -> Shape {
            Shape { code: "Sender", subcode, reason, detail }
        }
        match self {
            Self::DestinationUnreachable => sender("b:DestinationUnreachable",
                "No route can be determined to reach the destination role defined by the WSAddressing To.", None),
            Self::AlreadyExists => sender("e:AlreadyExists",
                "The sender attempted to create a resource which already exists.", None),
            Self::MissingValues => sender("d:InvalidRepresentation", "The XML content is not valid.", Some("MissingValues")),
            Self::InvalidValues => sender("d:InvalidRepresentation", "The XML content is not valid.", Some("InvalidValues")),
            Self::QuotaLimit => sender("e:QuotaLimit", "The service is busy servicing other requests.", None),
            Self::Internal(_) => Shape {
                code: "Receiver",
                subcode: "e:InternalError",
                reason: "The service cannot comply with the request due to internal processing errors.",
                detail: None,
            },
            Self::AccessDenied => sender("e:AccessDenied", "The sender was not authorized to access the resource.", None),
            Self::InvalidSelectors => sender("e:InvalidSelectors", "The Selectors for the resource were not valid.", None),
            Self::ActionNotSupported => sender("b:ActionNotSupported", "The action is not supported by the service.", None),
            Self::UnsupportedFeature => sender("e:UnsupportedFeature", "The specified feature is not supported.", None),
            Self::InvalidEnumerationContext => sender("c:InvalidEnumerationContext",
                "The supplied enumeration context is invalid.", None),
            Self::FilteringNotSupported => sender("c:FilteringNotSupported", "Filtering over the enumeration is not supported.", None),
            Self::InvalidParameter => sender("e:InvalidParameter", "An operation parameter was not valid.", None),
            Self::SchemaValidation => sender("e:SchemaValidationError",
                "The supplied SOAP violates the corresponding XML schema definition.", None),
            Self::HeaderRequired => sender("b:MessageInformationHeaderRequired",
                "A required header was missing.", None),
            Self::MustUnderstand => Shape {
                code: "MustUnderstand",
                subcode: "",
                reason: "A header that must be understood was not understood.",
                detail: None,
            },
        }
    }

    /// The subcode without its prefix: how the journal and people name the fault.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::DestinationUnreachable => "DestinationUnreachable",
            Self::AlreadyExists => "AlreadyExists",
            Self::MissingValues | Self::InvalidValues => "InvalidRepresentation",
            Self::QuotaLimit => "QuotaLimit",
            Self::Internal(_) => "InternalError",
            Self::AccessDenied => "AccessDenied",
            Self::InvalidSelectors => "InvalidSelectors",
            Self::ActionNotSupported => "ActionNotSupported",
            Self::UnsupportedFeature => "UnsupportedFeature",
            Self::InvalidEnumerationContext => "InvalidEnumerationContext",
            Self::FilteringNotSupported => "FilteringNotSupported",
            Self::InvalidParameter => "InvalidParameter",
            Self::SchemaValidation => "SchemaValidationError",
            Self::HeaderRequired => "MessageInformationHeaderRequired",
            Self::MustUnderstand => "MustUnderstand",
        }
    }

    /// `wsa:Action` of the answer, by the specification that defines the subcode.
    pub(crate) fn action(&self) -> &'static str {
        match self.shape().subcode.split(':').next() {
            Some("b") | Some("") => "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
            Some("c") => "http://schemas.xmlsoap.org/ws/2004/09/enumeration/fault",
            Some("d") => "http://schemas.xmlsoap.org/ws/2004/09/transfer/fault",
            _ => "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
        }
    }
}
