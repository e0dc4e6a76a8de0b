//! The pool of channels, with the windows of each.
//!
//! ```text
//!         CHANNEL_OPEN                     CLOSE from the host, answered
//!   free ─────────────▶ open ──────────────────────────────────────────▶ free
//!    ▲                    │ CLOSE from the device: all was said
//!    │ CLOSE of the host  ▼
//!    └───────────────── closing
//! ```
//! Numbers are given out in turn, or the lowest first, as the profile says.

use crate::device::LmeNumbers;

/// Channels that the firmware has.
pub(super) const CHANNELS: usize = 8;

/// Channels where nothing limits them, so that a host without end is stopped somewhere.
pub(super) const UNLIMITED: usize = 256;

#[derive(Debug)]
pub(super) struct Channel<S> {
    /// The host's number for it.
    pub(super) host: u32,
    pub(super) stream: S,
    /// Bytes that the host still takes.
    pub(super) send_window: u32,
    /// Bytes that the host was told it may still send.
    pub(super) receive_window: u32,
    /// Bytes taken and not credited yet.
    pub(super) owed: u32,
}

#[derive(Debug)]
pub(super) enum Slot<S> {
    Free,
    Open(Channel<S>),
    /// The device said CLOSE; the host has not yet.
    Closing,
}

/// Slot = the device's number for the channel.
#[derive(Debug)]
pub(super) struct Channels<S> {
    slots: Vec<Slot<S>>,
    /// Where the next round of sending begins, so that no channel starves.
    pub(super) turn: usize,
    /// Where the search for a free number begins.
    next: usize,
}

impl<S> Channels<S> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            turn: 0,
            next: 0,
        }
    }

    /// Takes a free number; `None` when `limit` are in use.
    pub(super) fn insert(
        &mut self,
        limit: usize,
        numbers: LmeNumbers,
        channel: Channel<S>,
    ) -> Option<u32> {
        let first = match numbers {
            LmeNumbers::InTurn => self.next,
            LmeNumbers::Lowest => 0,
        };
        let index = (0..limit)
            .map(|step| (first + step) % limit)
            .find(|index| self.is_free(*index))?;
        while self.slots.len() <= index {
            self.slots.push(Slot::Free);
        }
        *self.slots.get_mut(index)? = Slot::Open(channel);
        self.next = index + 1;
        u32::try_from(index).ok()
    }

    /// Whether another channel can be opened.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        (0..limit).any(|index| self.is_free(index))
    }

    fn is_free(&self, index: usize) -> bool {
        matches!(self.slots.get(index), None | Some(Slot::Free))
    }

    pub(super) fn open_mut(&mut self, number: u32) -> Option<&mut Channel<S>> {
        match self.slots.get_mut(number as usize)? {
            Slot::Open(channel) => Some(channel),
            _ => None,
        }
    }

    /// Changes the slot and gives what was in it.
    pub(super) fn replace(&mut self, number: u32, new: Slot<S>) -> Slot<S> {
        match self.slots.get_mut(number as usize) {
            Some(slot) => std::mem::replace(slot, new),
            None => Slot::Free,
        }
    }

    /// Numbers of the open channels, beginning with whose turn it is.
    pub(super) fn round(&self) -> Vec<u32> {
        let count = self.slots.len();
        (0..count)
            .map(|step| (self.turn + step) % count)
            .filter(|index| matches!(self.slots.get(*index), Some(Slot::Open(_))))
            .filter_map(|index| u32::try_from(index).ok())
            .collect()
    }

    pub(super) fn any_open(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Open(_)))
    }

    /// Empties the pool.
    pub(super) fn drain(&mut self) -> Vec<(u32, Channel<S>)> {
        let slots = std::mem::take(&mut self.slots);
        (0u32..)
            .zip(slots)
            .filter_map(|(number, slot)| match slot {
                Slot::Open(channel) => Some((number, channel)),
                _ => None,
            })
            .collect()
    }
}
