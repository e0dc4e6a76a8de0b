//! Hosts without manners: whatever they send, the device keeps within slots, windows and message lengths.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::apf::tests::messages;

#[derive(Debug, Clone)]
enum Step {
    Send(Message),
    Raw(Vec<u8>),
    Poll(usize),
    Mode(Mode),
    Listen(Vec<u16>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0u32..10;
    let window = prop_oneof![0u32..40, 1000u32..6000, Just(u32::MAX)];
    let bytes = prop_oneof![
        4 => vec(any::<u8>(), 0..300),
        1 => vec(any::<u8>(), 3000..5000),
        1 => Just(b"bye".to_vec()),
    ];
    let polite = prop_oneof![
        8 => (number.clone(), window.clone()).prop_map(|(sender, window)| open(sender, window, 16992)),
        1 => number.clone().prop_map(|sender| open(sender, 9, 16993)),
        12 => (number.clone(), bytes).prop_map(|(recipient, bytes)| data(recipient, &bytes)),
        4 => (number.clone(), window)
            .prop_map(|(recipient, bytes)| Message::ChannelWindowAdjust { recipient, bytes }),
        4 => number.prop_map(close),
        1 => Just(Message::RequestSuccess { port: Some(16992) }),
        1 => Just(Message::RequestFailure),
        1 => Just(ours(1, 0)),
        1 => Just(accept()),
    ];
    let step = prop_oneof![
        40 => polite.prop_map(Step::Send),
        2 => messages().prop_map(Step::Send),
        1 => vec(any::<u8>(), 0..40).prop_map(Step::Raw),
        10 => (0usize..9).prop_map(Step::Poll),
        1 => proptest::sample::select(Mode::ALL.to_vec()).prop_map(Step::Mode),
        1 => proptest::sample::subsequence(vec![16992u16, 16993, 16994], 0..=3).prop_map(Step::Listen),
    ];
    vec(step, 0..80)
}

/// What a host that counts would know. Its own numbers may be used for several channels at once, so windows
/// are kept per number of the host.
#[derive(Default)]
struct Ledger {
    /// Device's numbers of channels that are open, with the host's.
    open: BTreeMap<u32, u32>,
    /// Bytes that the device may still send to a number of the host.
    windows: BTreeMap<u32, u64>,
}

impl Ledger {
    fn sent(&mut self, message: &Message) {
        if let Message::ChannelWindowAdjust { recipient, bytes } = message
            && let Some(host) = self.open.get(recipient)
        {
            *self.windows.entry(*host).or_default() += u64::from(*bytes);
        }
        if let Message::ChannelClose { recipient } = message {
            self.open.remove(recipient);
        }
    }

    fn received(
        &mut self,
        message: &Message,
        asked: Option<&Message>,
    ) -> Result<(), TestCaseError> {
        match message {
            Message::ChannelOpenConfirmation {
                recipient, sender, ..
            } => {
                prop_assert!((*sender as usize) < CHANNELS);
                let Some(Message::ChannelOpen { window, .. }) = asked else {
                    return Err(TestCaseError::fail("confirmed what nobody asked for"));
                };
                prop_assert!(self.open.insert(*sender, *recipient).is_none());
                *self.windows.entry(*recipient).or_default() += u64::from(*window);
            }
            Message::ChannelData { recipient, data } => {
                let window = self.windows.get_mut(recipient);
                let left = window.as_ref().map_or(0, |window| **window);
                prop_assert!(!data.is_empty() && data.len() as u64 <= left);
                if let Some(window) = window {
                    *window -= data.len() as u64;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_breaks_the_limits(steps in steps(), max_message in 128u32..6000, polite in any::<bool>()) {
        let fw = firmware(profile(), Mode::PreProvisioning);
        let mut rig = Rig::new(fw, max_message);
        if polite {
            rig = rig.shaken();
        }
        let mut ledger = Ledger::default();
        let mut disconnected = false;
        for step in steps {
            let mut asked = None;
            let mut out = Vec::new();
            match step {
                Step::Send(message) => {
                    let wire = message.encode();
                    if wire.len() > max_message as usize {
                        continue;
                    }
                    ledger.sent(&message);
                    out = rig.session.receive(&mut rig.fw, &wire);
                    asked = Some(message);
                }
                Step::Raw(bytes) => out = rig.session.receive(&mut rig.fw, &bytes),
                Step::Poll(room) => {
                    out = rig.session.poll(&mut rig.fw, room);
                    prop_assert!(out.len() <= room + 1);
                }
                Step::Mode(mode) => rig.fw.state.mode = mode,
                Step::Listen(ports) => rig.session.ports.listening = ports,
            }
            for bytes in out {
                prop_assert!(bytes.len() <= max_message as usize);
                prop_assert!(!disconnected, "said something after DISCONNECT");
                let message = read(&bytes);
                disconnected = matches!(message, Message::Disconnect { .. });
                ledger.received(&message, asked.as_ref())?;
            }
            prop_assert!(rig.session.ports.streams.len() <= CHANNELS);
            if rig.session.over() {
                prop_assert!(rig.session.ports.streams.is_empty());
            }
        }
        rig.session.end(&mut rig.fw);
        prop_assert!(rig.session.ports.streams.is_empty());
    }
}
