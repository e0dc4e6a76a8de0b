//! What a role is told beside its action: the `with` of a step.
//!
//! Without it every role does what the page says. Each key belongs to the role that would make the mistake, and is
//! refused at any other.

use amt_sim::diagnostic::closest;

use super::Action;
use crate::document::{Findings, Table};
use crate::role::certificates::CertificateForm;
use crate::words::words;

words! {
    /// What the application hashes.
    HashForm {
        /// SHA-256 over ConfigurationNonce and McNonce.
        Right = "right",
        /// McNonce comes first.
        SwappedNonces = "swapped-nonces",
        /// ConfigurationNonce alone.
        OneNonce = "one-nonce",
        /// The hash of the hash.
        Twice = "twice",
        /// SHA-384 in place of SHA-256.
        Sha384 = "sha384",
        /// The ConfigurationNonce of the set-up before.
        EarlierNonce = "earlier-nonce",
    }
}

words! {
    /// The application's own nonce.
    NonceForm {
        Fresh = "fresh",
        /// That of the request before.
        Reused = "reused",
        /// Sixteen bytes.
        Short = "short",
    }
}

words! {
    /// What the server signs.
    SignatureForm {
        Right = "right",
        /// One bit is wrong.
        Tampered = "tampered",
        /// By another key than the certificate's.
        OtherKey = "other-key",
        /// Without saying by which digest: RSA over the bare hash.
        BareHash = "bare-hash",
    }
}

words! {
    /// What the application sends of what it has.
    SendForm {
        All = "all",
        NoSignature = "no-signature",
        NoCertificate = "no-certificate",
        NoNonce = "no-nonce",
        /// Another nonce than the one that was hashed.
        OtherNonce = "other-nonce",
        /// The whole request before, byte for byte.
        EarlierRequest = "earlier-request",
    }
}

words! {
    /// The certificates of the chain as they are sent.
    ChainForm {
        Whole = "whole",
        /// The root is left out.
        Truncated = "truncated",
        /// The intermediate is left out.
        Gap = "gap",
        /// The root comes before the intermediate.
        OutOfOrder = "out-of-order",
        /// The leaf comes last.
        LeafLast = "leaf-last",
    }
}

words! {
    /// How the application takes the device out of service.
    Way {
        Mei = "mei",
        Wsman = "wsman",
    }
}

words! {
    /// What carries the application's WS-Management.
    Through {
        /// A port that the application forwards for itself, over LME.
        Lme = "lme",
        /// A TCP port of the host that LMS listens on for the device.
        LocalPort = "local-port",
    }
}

words! {
    /// What the periodic check looks at.
    LooksAt {
        Certificate = "certificate",
        Timestamp = "timestamp",
        Both = "both",
    }
}

words! {
    /// With what the rogue signs.
    RogueSigns {
        /// A certificate of his own.
        Own = "own",
        /// The server's: he asks it, as the application does.
        Genuine = "genuine",
    }
}

words! {
    /// What the rogue does about the time of the record.
    RogueClock {
        Untouched = "untouched",
        /// The machine's clock is set back to when the genuine set-up was.
        SetBack = "set-back",
    }
}

words! {
    /// Whom the console gives the one-time password.
    OtpForm {
        Both = "both",
        /// There is none.
        None = "none",
        OnlySca = "only-sca",
        OnlyAgent = "only-agent",
        /// The agent gets another one than the SCA.
        Different = "different",
        /// The agent's ends in another letter.
        LastLetterDiffers = "last-letter-differs",
        /// The agent's has one letter more.
        Longer = "longer",
        /// Seven letters.
        Short = "short",
        /// Thirty-three letters.
        Long = "long",
    }
}

words! {
    /// What the SCA of the secure flow looks at beside the hash that it was told.
    LooksFor {
        /// The chain.
        Chain = "chain",
        /// The chain, and what the platform says of its hardware.
        Platform = "platform",
        /// Both, and the revocation lists.
        Lists = "lists",
    }
}

words! {
    /// When the SCA of the secure flow sets the password of MEBx.
    Mebx {
        /// Before CommitChanges.
        First = "first",
        /// Once CommitChanges has returned 2057 for want of it.
        WhenAsked = "when-asked",
    }
}

words! {
    /// What is done about a device that stopped half way in CommitChanges.
    HalfWay {
        /// The agent calls the set-up off.
        Stops = "stops",
        /// The SCA calls CommitChanges once more.
        Commits = "commits",
    }
}

words! {
    /// What is found where the certificates say that revocation lists are.
    Published {
        Right = "right",
        /// There are none.
        Nothing = "nothing",
        /// They should have been replaced long ago.
        Outdated = "outdated",
        /// Somebody else signed them.
        Forged = "forged",
    }
}

words! {
    /// What a stranger's Hello looks like.
    HelloForm {
        /// The device's own, once more.
        Genuine = "genuine",
        /// The device's own in two pieces.
        InTwo = "in-two",
        ByteByByte = "byte-by-byte",
        /// Version 2, that of pre-shared keys.
        Version2 = "version-2",
        Version4 = "version-4",
        Credentials2 = "credentials-2",
        Retry15 = "retry-15",
        Count34 = "count-34",
        /// One hash more is announced than comes.
        CountTooHigh = "count-too-high",
        UnknownAlgorithm = "unknown-algorithm",
        WrongHashLength = "wrong-hash-length",
        /// Eight bytes follow.
        Trailing = "trailing",
        /// The last ten bytes are missing.
        Truncated = "truncated",
        /// A machine that nobody ordered.
        UnknownUuid = "unknown-uuid",
        /// A machine that was ordered and stays in its box.
        OtherMachine = "other-machine",
        /// It knows no root of the SCA's.
        OtherRoots = "other-roots",
    }
}

words! {
    /// What the SCA of the secure flow knows of on-die authorities beforehand.
    Anchors {
        Root = "root",
        /// The authorities below the root too.
        Authorities = "authorities",
    }
}

words! {
    /// Where a stranger's Hello comes from.
    HelloSource {
        Device = "device",
        Elsewhere = "elsewhere",
    }
}

words! {
    /// The machine that takes the device's place.
    StandIn {
        /// Ready for set-up, without a one-time password.
        NoOtp = "no-otp",
        /// Ready for set-up, with the one-time password of the device.
        SameOtp = "same-otp",
        /// Set up already by somebody else.
        Configured = "configured",
    }
}

words! {
    /// Which hash the console hands down for the device.
    Announces {
        /// That of the certificate that the SCA will show.
        Leaf = "leaf",
        /// That of another one.
        Other = "other",
    }
}

/// What exactly a role does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub hash: HashForm,
    pub mc_nonce: NonceForm,
    pub certificate: CertificateForm,
    pub signature: SignatureForm,
    pub send: SendForm,
    /// Number that is sent as SigningAlgorithm.
    pub algorithm: u64,
    pub chain: ChainForm,
    pub over: Way,
    pub through: Through,
    pub by: LooksAt,
    pub signs_with: RogueSigns,
    pub clock: RogueClock,
    pub otp: OtpForm,
    pub hello: HelloForm,
    pub from: HelloSource,
    pub stand_in: StandIn,
    pub looks_for: LooksFor,
    pub lists: Published,
    pub half_way: HalfWay,
    pub mebx: Mebx,
    pub anchors: Anchors,
    pub announces: Announces,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            hash: HashForm::Right,
            mc_nonce: NonceForm::Fresh,
            certificate: CertificateForm::Good,
            signature: SignatureForm::Right,
            send: SendForm::All,
            algorithm: Self::RSA_SHA_256,
            chain: ChainForm::Whole,
            over: Way::Mei,
            through: Through::Lme,
            by: LooksAt::Both,
            signs_with: RogueSigns::Own,
            clock: RogueClock::Untouched,
            otp: OtpForm::Both,
            hello: HelloForm::Genuine,
            from: HelloSource::Device,
            stand_in: StandIn::NoOtp,
            looks_for: LooksFor::Platform,
            lists: Published::Right,
            half_way: HalfWay::Stops,
            mebx: Mebx::First,
            anchors: Anchors::Root,
            announces: Announces::Leaf,
        }
    }
}

impl Order {
    /// RSA with SHA-256, the only one that firmware takes.
    pub const RSA_SHA_256: u64 = 2;

    /// Reads the `with` of a step that does `action`.
    pub(super) fn parse(action: Action, table: &Table<'_, '_>, findings: &Findings) -> Self {
        let mut order = Self::default();
        let with = With { table, findings };
        if action.speaks_for_the_application() {
            with.word("through", &mut order.through, Through::ALL);
        }
        match action {
            Action::ApplicationPrepare => {
                with.word("hash", &mut order.hash, HashForm::ALL);
                with.word("mc_nonce", &mut order.mc_nonce, NonceForm::ALL);
            }
            Action::ServerIssue => {
                with.word("certificate", &mut order.certificate, CertificateForm::ALL);
                with.word("signature", &mut order.signature, SignatureForm::ALL);
            }
            Action::ApplicationSetupSigned => {
                with.word("send", &mut order.send, SendForm::ALL);
                order.take_algorithm(table);
            }
            Action::ApplicationSetupAdmin | Action::ApplicationUpgrade => {
                with.word("send", &mut order.send, SendForm::ALL);
                with.word("chain", &mut order.chain, ChainForm::ALL);
                order.take_algorithm(table);
            }
            Action::ConsoleSetUpSecure => {
                with.word("certificate", &mut order.certificate, CertificateForm::ALL);
                with.word("looks_for", &mut order.looks_for, LooksFor::ALL);
                with.word("lists", &mut order.lists, Published::ALL);
                with.word("mebx", &mut order.mebx, Mebx::ALL);
                with.word("half_way", &mut order.half_way, HalfWay::ALL);
                with.word("knows", &mut order.anchors, Anchors::ALL);
                with.word("announces", &mut order.announces, Announces::ALL);
                order.take_algorithm(table);
            }
            Action::ApplicationUnprovision => {
                with.word("over", &mut order.over, Way::ALL);
            }
            Action::RogueSetup => {
                with.word("signs_with", &mut order.signs_with, RogueSigns::ALL);
                with.word("clock", &mut order.clock, RogueClock::ALL);
            }
            Action::RogueSetupUnsigned => {
                with.word("clock", &mut order.clock, RogueClock::ALL);
            }
            Action::ConsoleOrder => with.word("otp", &mut order.otp, OtpForm::ALL),
            Action::ScaConfigure => {
                with.word("certificate", &mut order.certificate, CertificateForm::ALL);
            }
            Action::StrangerHello => {
                with.word("form", &mut order.hello, HelloForm::ALL);
                with.word("from", &mut order.from, HelloSource::ALL);
            }
            Action::StrangerStandIn => {
                with.word("machine", &mut order.stand_in, StandIn::ALL);
            }
            Action::CheckerCheck => with.word("by", &mut order.by, LooksAt::ALL),
            // Nothing but what carries it.
            Action::ApplicationSetup | Action::ApplicationLook => {}
            Action::AgentDiscover
            | Action::ConsoleAsk
            | Action::AgentStart
            | Action::AgentStop
            | Action::ScaAwaitHello
            | Action::ScaReturn => {
                findings.add(table.span(), format!("`{action}` takes nothing `with` it"));
                for key in table.keys() {
                    table.free_string(&key);
                }
                return order;
            }
        }
        table.finish();
        order
    }

    fn take_algorithm(&mut self, table: &Table<'_, '_>) {
        if let Some(number) = table.number("algorithm") {
            self.algorithm = number.value;
        }
    }
}

/// The `with` of a step.
struct With<'a, 't, 'f> {
    table: &'a Table<'t, 'f>,
    findings: &'a Findings,
}

impl With<'_, '_, '_> {
    /// Replaces a word when the table has the key.
    fn word<T: Copy + std::fmt::Display>(&self, key: &'static str, slot: &mut T, all: &[T]) {
        let Some(text) = self.table.string(key) else {
            return;
        };
        match all.iter().find(|value| value.to_string() == text.value) {
            Some(value) => *slot = *value,
            None => {
                let known: Vec<String> = all.iter().map(ToString::to_string).collect();
                let known = known.iter().map(String::as_str);
                let message = format!("`{key}` cannot be `{}`", text.value);
                let help = match closest(&text.value, known.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
                };
                self.findings.add_with_help(text.span, message, help);
            }
        }
    }
}
