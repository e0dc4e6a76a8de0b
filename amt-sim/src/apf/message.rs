//! The messages as values, and how each is written.

/// Opcodes by name.
pub mod opcode {
    pub const DISCONNECT: u8 = 1;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const SERVICE_ACCEPT: u8 = 6;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const REQUEST_SUCCESS: u8 = 81;
    pub const REQUEST_FAILURE: u8 = 82;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const PROTOCOLVERSION: u8 = 192;
    pub const KEEPALIVE_REQUEST: u8 = 208;
    pub const KEEPALIVE_REPLY: u8 = 209;
    pub const KEEPALIVE_OPTIONS_REQUEST: u8 = 210;
    pub const KEEPALIVE_OPTIONS_REPLY: u8 = 211;

    /// How the protocol calls an opcode.
    pub const fn name(opcode: u8) -> Option<&'static str> {
        Some(match opcode {
            DISCONNECT => "DISCONNECT",
            SERVICE_REQUEST => "SERVICE_REQUEST",
            SERVICE_ACCEPT => "SERVICE_ACCEPT",
            USERAUTH_REQUEST => "USERAUTH_REQUEST",
            USERAUTH_FAILURE => "USERAUTH_FAILURE",
            USERAUTH_SUCCESS => "USERAUTH_SUCCESS",
            GLOBAL_REQUEST => "GLOBAL_REQUEST",
            REQUEST_SUCCESS => "REQUEST_SUCCESS",
            REQUEST_FAILURE => "REQUEST_FAILURE",
            CHANNEL_OPEN => "CHANNEL_OPEN",
            CHANNEL_OPEN_CONFIRMATION => "CHANNEL_OPEN_CONFIRMATION",
            CHANNEL_OPEN_FAILURE => "CHANNEL_OPEN_FAILURE",
            CHANNEL_WINDOW_ADJUST => "CHANNEL_WINDOW_ADJUST",
            CHANNEL_DATA => "CHANNEL_DATA",
            CHANNEL_CLOSE => "CHANNEL_CLOSE",
            PROTOCOLVERSION => "PROTOCOLVERSION",
            KEEPALIVE_REQUEST => "KEEPALIVE_REQUEST",
            KEEPALIVE_REPLY => "KEEPALIVE_REPLY",
            KEEPALIVE_OPTIONS_REQUEST => "KEEPALIVE_OPTIONS_REQUEST",
            KEEPALIVE_OPTIONS_REPLY => "KEEPALIVE_OPTIONS_REPLY",
            _ => return None,
        })
    }
}

/// Names of global requests and channel types on the wire.
pub(super) const TCPIP_FORWARD: &str = "tcpip-forward";
pub(super) const CANCEL_TCPIP_FORWARD: &str = "cancel-tcpip-forward";
pub(super) const UDP_SEND_TO: &str = "udp-send-to@amt.intel.com";
pub(super) const FORWARDED_TCPIP: &str = "forwarded-tcpip";
pub(super) const DIRECT_TCPIP: &str = "direct-tcpip";
pub(super) const PASSWORD: &str = "password";

/// What stands where SSH has its longest packet.
const RESERVED: u32 = 0xFFFF_FFFF;

/// Why one side ends everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisconnectReason(pub u32);

impl DisconnectReason {
    pub const HOST_NOT_ALLOWED: Self = Self(1);
    pub const PROTOCOL_ERROR: Self = Self(2);
    pub const SERVICE_NOT_AVAILABLE: Self = Self(7);
    pub const VERSION_NOT_SUPPORTED: Self = Self(8);
    pub const CONNECTION_LOST: Self = Self(10);
    pub const BY_APPLICATION: Self = Self(11);
    pub const TOO_MANY_CONNECTIONS: Self = Self(12);
    pub const INVALID_CREDENTIALS: Self = Self(15);
}

/// Why a channel is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFailure(pub u32);

impl OpenFailure {
    pub const PROHIBITED: Self = Self(1);
    /// Nothing listens on the port.
    pub const CONNECT_FAILED: Self = Self(2);
    pub const UNKNOWN_TYPE: Self = Self(3);
    /// Every channel is taken.
    pub const RESOURCE_SHORTAGE: Self = Self(4);
}

/// What made AMT connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger(pub u32);

impl Trigger {
    pub const USER: Self = Self(1);
    pub const ALERT: Self = Self(2);
    pub const PROVISIONING: Self = Self(3);
    pub const PERIODIC: Self = Self(4);
    pub const LME: Self = Self(254);
}

/// Versions of both sides, and whose machine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolVersion {
    pub major: u32,
    pub minor: u32,
    pub trigger: Trigger,
    /// System UUID in the byte order of SMBIOS.
    pub uuid: [u8; 16],
}

/// How a user logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    Password(String),
    /// A method without data of its own, such as `none`.
    Other(String),
}

/// A request that concerns no channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobalRequest {
    /// AMT asks to have a port listened on.
    TcpipForward {
        address: String,
        port: u32,
    },
    CancelTcpipForward {
        address: String,
        port: u32,
    },
    /// One UDP datagram.
    UdpSendTo {
        address: String,
        port: u32,
        origin_address: String,
        origin_port: u32,
        data: Vec<u8>,
    },
    /// A name that nobody knows. Its body cannot be told from what follows it, so it takes everything there is:
    /// a byte stream cannot go on after it.
    Other {
        name: String,
        body: Vec<u8>,
    },
}

/// Both ends of a forwarded connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    pub address: String,
    pub port: u32,
    pub origin_address: String,
    pub origin_port: u32,
}

/// Where a channel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Somebody connected to a port that AMT had forwarded.
    Forwarded(Endpoints),
    /// AMT wants a connection made.
    Direct(Endpoints),
    /// A type that nobody knows, with everything behind the fields that all types share.
    Other { kind: String, rest: Vec<u8> },
}

/// How often one side asks whether the other is alive, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveOptions {
    pub interval: u32,
    pub timeout: u32,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Disconnect {
        reason: DisconnectReason,
    },
    ServiceRequest {
        service: String,
    },
    ServiceAccept {
        service: String,
    },
    UserauthRequest {
        user: String,
        service: String,
        method: AuthMethod,
    },
    UserauthFailure {
        methods: String,
        partial: bool,
    },
    UserauthSuccess,
    GlobalRequest {
        want_reply: bool,
        request: GlobalRequest,
    },
    RequestSuccess {
        /// The port that is listened on, in answer to `tcpip-forward` only.
        port: Option<u32>,
    },
    RequestFailure,
    ChannelOpen {
        sender: u32,
        window: u32,
        route: Route,
    },
    ChannelOpenConfirmation {
        recipient: u32,
        sender: u32,
        window: u32,
    },
    ChannelOpenFailure {
        recipient: u32,
        reason: OpenFailure,
    },
    ChannelWindowAdjust {
        recipient: u32,
        bytes: u32,
    },
    ChannelData {
        recipient: u32,
        data: Vec<u8>,
    },
    ChannelClose {
        recipient: u32,
    },
    ProtocolVersion(ProtocolVersion),
    KeepaliveRequest {
        cookie: u32,
    },
    KeepaliveReply {
        cookie: u32,
    },
    KeepaliveOptionsRequest(KeepaliveOptions),
    KeepaliveOptionsReply(KeepaliveOptions),
}

impl Message {
    pub const fn opcode(&self) -> u8 {
        match self {
            Self::Disconnect { .. } => opcode::DISCONNECT,
            Self::ServiceRequest { .. } => opcode::SERVICE_REQUEST,
            Self::ServiceAccept { .. } => opcode::SERVICE_ACCEPT,
            Self::UserauthRequest { .. } => opcode::USERAUTH_REQUEST,
            Self::UserauthFailure { .. } => opcode::USERAUTH_FAILURE,
            Self::UserauthSuccess => opcode::USERAUTH_SUCCESS,
            Self::GlobalRequest { .. } => opcode::GLOBAL_REQUEST,
            Self::RequestSuccess { .. } => opcode::REQUEST_SUCCESS,
            Self::RequestFailure => opcode::REQUEST_FAILURE,
            Self::ChannelOpen { .. } => opcode::CHANNEL_OPEN,
            Self::ChannelOpenConfirmation { .. } => opcode::CHANNEL_OPEN_CONFIRMATION,
            Self::ChannelOpenFailure { .. } => opcode::CHANNEL_OPEN_FAILURE,
            Self::ChannelWindowAdjust { .. } => opcode::CHANNEL_WINDOW_ADJUST,
            Self::ChannelData { .. } => opcode::CHANNEL_DATA,
            Self::ChannelClose { .. } => opcode::CHANNEL_CLOSE,
            Self::ProtocolVersion(_) => opcode::PROTOCOLVERSION,
            Self::KeepaliveRequest { .. } => opcode::KEEPALIVE_REQUEST,
            Self::KeepaliveReply { .. } => opcode::KEEPALIVE_REPLY,
            Self::KeepaliveOptionsRequest(_) => opcode::KEEPALIVE_OPTIONS_REQUEST,
            Self::KeepaliveOptionsReply(_) => opcode::KEEPALIVE_OPTIONS_REPLY,
        }
    }

    /// How the protocol calls it.
    pub const fn name(&self) -> &'static str {
        // Every opcode above has a name.
        match opcode::name(self.opcode()) {
            Some(name) => name,
            None => "unknown",
        }
    }

    /// The message on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![self.opcode()]);
        match self {
            Self::Disconnect { reason } => out.number(reason.0).bytes(&[0, 0]),
            Self::ServiceRequest { service } | Self::ServiceAccept { service } => out.text(service),
            Self::UserauthRequest {
                user,
                service,
                method,
            } => {
                out.text(user).text(service);
                match method {
                    AuthMethod::Password(password) => out.text(PASSWORD).bytes(&[0]).text(password),
                    AuthMethod::Other(name) => out.text(name),
                }
            }
            Self::UserauthFailure { methods, partial } => {
                out.text(methods).bytes(&[u8::from(*partial)])
            }
            Self::UserauthSuccess | Self::RequestFailure => &mut out,
            Self::GlobalRequest {
                want_reply,
                request,
            } => out.global(*want_reply, request),
            Self::RequestSuccess { port } => match port {
                Some(port) => out.number(*port),
                None => &mut out,
            },
            Self::ChannelOpen {
                sender,
                window,
                route,
            } => out.open(*sender, *window, route),
            Self::ChannelOpenConfirmation {
                recipient,
                sender,
                window,
            } => out
                .number(*recipient)
                .number(*sender)
                .number(*window)
                .number(RESERVED),
            Self::ChannelOpenFailure { recipient, reason } => {
                out.number(*recipient).number(reason.0).number(0).number(0)
            }
            Self::ChannelWindowAdjust { recipient, bytes } => out.number(*recipient).number(*bytes),
            Self::ChannelData { recipient, data } => out.number(*recipient).data(data),
            Self::ChannelClose { recipient } => out.number(*recipient),
            Self::ProtocolVersion(version) => out
                .number(version.major)
                .number(version.minor)
                .number(version.trigger.0)
                .bytes(&version.uuid)
                .bytes(&[0; 64]),
            Self::KeepaliveRequest { cookie } | Self::KeepaliveReply { cookie } => {
                out.number(*cookie)
            }
            Self::KeepaliveOptionsRequest(options) | Self::KeepaliveOptionsReply(options) => {
                out.number(options.interval).number(options.timeout)
            }
        };
        out.0
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn data(&mut self, data: &[u8]) -> &mut Self {
        // Nothing that is written here comes near 4 GiB.
        self.number(u32::try_from(data.len()).unwrap_or(u32::MAX))
            .bytes(data)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.data(text.as_bytes())
    }

    fn global(&mut self, want_reply: bool, request: &GlobalRequest) -> &mut Self {
        let flag = [u8::from(want_reply)];
        match request {
            GlobalRequest::TcpipForward { address, port } => self
                .text(TCPIP_FORWARD)
                .bytes(&flag)
                .text(address)
                .number(*port),
            GlobalRequest::CancelTcpipForward { address, port } => self
                .text(CANCEL_TCPIP_FORWARD)
                .bytes(&flag)
                .text(address)
                .number(*port),
            GlobalRequest::UdpSendTo {
                address,
                port,
                origin_address,
                origin_port,
                data,
            } => self
                .text(UDP_SEND_TO)
                .bytes(&flag)
                .text(address)
                .number(*port)
                .text(origin_address)
                .number(*origin_port)
                .data(data),
            GlobalRequest::Other { name, body } => self.text(name).bytes(&flag).bytes(body),
        }
    }

    fn open(&mut self, sender: u32, window: u32, route: &Route) -> &mut Self {
        let (kind, ends) = match route {
            Route::Forwarded(ends) => (FORWARDED_TCPIP, Ok(ends)),
            Route::Direct(ends) => (DIRECT_TCPIP, Ok(ends)),
            Route::Other { kind, rest } => (kind.as_str(), Err(rest)),
        };
        self.text(kind)
            .number(sender)
            .number(window)
            .number(RESERVED);
        match ends {
            Ok(ends) => self
                .text(&ends.address)
                .number(ends.port)
                .text(&ends.origin_address)
                .number(ends.origin_port),
            Err(rest) => self.bytes(rest),
        }
    }
}
