//! Reading messages: from a whole MEI message, or from the front of a byte stream.

use super::message::{
    AuthMethod, CANCEL_TCPIP_FORWARD, DIRECT_TCPIP, DisconnectReason, Endpoints, FORWARDED_TCPIP,
    GlobalRequest, KeepaliveOptions, Message, OpenFailure, PASSWORD, ProtocolVersion, Route,
    TCPIP_FORWARD, Trigger, UDP_SEND_TO, opcode,
};

/// Longest name, address, user or password that is taken: more than any that is in use.
pub const LONGEST_TEXT: usize = 2048;

/// Longest data of one message that is taken: servers in the field break the connection above it.
pub const LONGEST_DATA: usize = 1 << 20;

/// What REQUEST_SUCCESS looks like, which only the request that it answers tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuccessForm {
    /// One byte.
    Bare,
    /// Five bytes, in answer to `tcpip-forward`.
    Port,
    /// The bytes given are one whole message: there is a port if there is anything.
    ByLength,
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is more to come, or the sender left something out.
    #[error("{message} ends after {have} bytes; its {field} needs {need}")]
    Short {
        message: &'static str,
        field: &'static str,
        have: usize,
        /// Bytes that the message has at least.
        need: usize,
    },
    #[error("unknown opcode {0}")]
    UnknownOpcode(u8),
    #[error("{message}: its {field} has {length} bytes where {most} are the most")]
    TooLong {
        message: &'static str,
        field: &'static str,
        length: usize,
        most: usize,
    },
    #[error("{message}: its {field} is no text")]
    NotText {
        message: &'static str,
        field: &'static str,
    },
}

impl ParseError {
    /// Whether more bytes could make a message of it.
    pub const fn is_short(&self) -> bool {
        matches!(self, Self::Short { .. })
    }
}

/// Reads the message at the front of `bytes`, and says how many of them it took.
pub fn parse(bytes: &[u8], success: SuccessForm) -> Result<(Message, usize), ParseError> {
    let mut from = Reader {
        bytes,
        at: 0,
        message: "a message",
    };
    let [code] = from.array("opcode")?;
    from.message = opcode::name(code).ok_or(ParseError::UnknownOpcode(code))?;
    let message = match code {
        opcode::DISCONNECT => {
            let reason = DisconnectReason(from.number("reason")?);
            from.array::<2>("reserved field")?;
            Message::Disconnect { reason }
        }
        opcode::SERVICE_REQUEST => Message::ServiceRequest {
            service: from.text("service")?,
        },
        opcode::SERVICE_ACCEPT => Message::ServiceAccept {
            service: from.text("service")?,
        },
        opcode::USERAUTH_REQUEST => from.login()?,
        opcode::USERAUTH_FAILURE => Message::UserauthFailure {
            methods: from.text("methods")?,
            partial: from.flag("partial success")?,
        },
        opcode::USERAUTH_SUCCESS => Message::UserauthSuccess,
        opcode::GLOBAL_REQUEST => from.global()?,
        opcode::REQUEST_SUCCESS => {
            let has_port = match success {
                SuccessForm::Bare => false,
                SuccessForm::Port => true,
                SuccessForm::ByLength => bytes.len() > 1,
            };
            let port = has_port.then(|| from.number("port")).transpose()?;
            Message::RequestSuccess { port }
        }
        opcode::REQUEST_FAILURE => Message::RequestFailure,
        opcode::CHANNEL_OPEN => from.open()?,
        opcode::CHANNEL_OPEN_CONFIRMATION => {
            let message = Message::ChannelOpenConfirmation {
                recipient: from.number("recipient")?,
                sender: from.number("sender")?,
                window: from.number("window")?,
            };
            from.number("reserved field")?;
            message
        }
        opcode::CHANNEL_OPEN_FAILURE => {
            let message = Message::ChannelOpenFailure {
                recipient: from.number("recipient")?,
                reason: OpenFailure(from.number("reason")?),
            };
            from.array::<8>("reserved field")?;
            message
        }
        opcode::CHANNEL_WINDOW_ADJUST => Message::ChannelWindowAdjust {
            recipient: from.number("recipient")?,
            bytes: from.number("bytes")?,
        },
        opcode::CHANNEL_DATA => Message::ChannelData {
            recipient: from.number("recipient")?,
            data: from.data("data", LONGEST_DATA)?.to_vec(),
        },
        opcode::CHANNEL_CLOSE => Message::ChannelClose {
            recipient: from.number("recipient")?,
        },
        opcode::PROTOCOLVERSION => {
            let version = ProtocolVersion {
                major: from.number("major version")?,
                minor: from.number("minor version")?,
                trigger: Trigger(from.number("trigger")?),
                uuid: from.array("UUID")?,
            };
            from.array::<64>("reserved field")?;
            Message::ProtocolVersion(version)
        }
        opcode::KEEPALIVE_REQUEST => Message::KeepaliveRequest {
            cookie: from.number("cookie")?,
        },
        opcode::KEEPALIVE_REPLY => Message::KeepaliveReply {
            cookie: from.number("cookie")?,
        },
        opcode::KEEPALIVE_OPTIONS_REQUEST => Message::KeepaliveOptionsRequest(from.options()?),
        opcode::KEEPALIVE_OPTIONS_REPLY => Message::KeepaliveOptionsReply(from.options()?),
        // `opcode::name` knows no others.
        other => return Err(ParseError::UnknownOpcode(other)),
    };
    Ok((message, from.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    message: &'static str,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, field: &'static str, size: usize) -> Result<&'a [u8], ParseError> {
        let end = self.at.saturating_add(size);
        let slice = self.bytes.get(self.at..end).ok_or(ParseError::Short {
            message: self.message,
            field,
            have: self.bytes.len(),
            need: end,
        })?;
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ParseError> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(field, N)?);
        Ok(out)
    }

    fn number(&mut self, field: &'static str) -> Result<u32, ParseError> {
        self.array(field).map(u32::from_be_bytes)
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, ParseError> {
        let [byte] = self.array(field)?;
        Ok(byte != 0)
    }

    fn data(&mut self, field: &'static str, most: usize) -> Result<&'a [u8], ParseError> {
        let length = self.number(field)? as usize;
        if length > most {
            return Err(ParseError::TooLong {
                message: self.message,
                field,
                length,
                most,
            });
        }
        self.slice(field, length)
    }

    fn text(&mut self, field: &'static str) -> Result<String, ParseError> {
        let bytes = self.data(field, LONGEST_TEXT)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| ParseError::NotText {
            message: self.message,
            field,
        })
    }

    fn rest(&mut self) -> Vec<u8> {
        let rest = self.bytes.get(self.at..).unwrap_or_default().to_vec();
        self.at = self.bytes.len();
        rest
    }

    fn login(&mut self) -> Result<Message, ParseError> {
        let user = self.text("user")?;
        let service = self.text("service")?;
        let method = self.text("method")?;
        let method = if method == PASSWORD {
            self.flag("change flag")?;
            AuthMethod::Password(self.text("password")?)
        } else {
            AuthMethod::Other(method)
        };
        Ok(Message::UserauthRequest {
            user,
            service,
            method,
        })
    }

    fn global(&mut self) -> Result<Message, ParseError> {
        let name = self.text("name")?;
        let want_reply = self.flag("want reply")?;
        let request = match name.as_str() {
            TCPIP_FORWARD => GlobalRequest::TcpipForward {
                address: self.text("address")?,
                port: self.number("port")?,
            },
            CANCEL_TCPIP_FORWARD => GlobalRequest::CancelTcpipForward {
                address: self.text("address")?,
                port: self.number("port")?,
            },
            UDP_SEND_TO => GlobalRequest::UdpSendTo {
                address: self.text("address")?,
                port: self.number("port")?,
                origin_address: self.text("origin address")?,
                origin_port: self.number("origin port")?,
                data: self.data("data", LONGEST_DATA)?.to_vec(),
            },
            _ => GlobalRequest::Other {
                name,
                body: self.rest(),
            },
        };
        Ok(Message::GlobalRequest {
            want_reply,
            request,
        })
    }

    fn open(&mut self) -> Result<Message, ParseError> {
        let kind = self.text("type")?;
        let sender = self.number("sender")?;
        let window = self.number("window")?;
        self.number("reserved field")?;
        let route = match kind.as_str() {
            FORWARDED_TCPIP => Route::Forwarded(self.endpoints()?),
            DIRECT_TCPIP => Route::Direct(self.endpoints()?),
            _ => Route::Other {
                kind,
                rest: self.rest(),
            },
        };
        Ok(Message::ChannelOpen {
            sender,
            window,
            route,
        })
    }

    fn endpoints(&mut self) -> Result<Endpoints, ParseError> {
        Ok(Endpoints {
            address: self.text("address")?,
            port: self.number("port")?,
            origin_address: self.text("origin address")?,
            origin_port: self.number("origin port")?,
        })
    }

    fn options(&mut self) -> Result<KeepaliveOptions, ParseError> {
        Ok(KeepaliveOptions {
            interval: self.number("interval")?,
            timeout: self.number("timeout")?,
        })
    }
}
