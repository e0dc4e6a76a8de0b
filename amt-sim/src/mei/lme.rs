//! Local manageability engine. The connection is accepted and held; the APF protocol on it is not spoken yet.

use crate::device::{Event, Firmware};
use crate::mei::ClientKind;

/// One LME connection.
#[derive(Debug)]
pub(crate) struct Session;

impl Session {
    pub(crate) fn start(_: &mut Firmware) -> (Self, Vec<Vec<u8>>) {
        (Self, Vec::new())
    }

    pub(crate) fn receive(&mut self, fw: &mut Firmware, message: &[u8]) -> Vec<Vec<u8>> {
        fw.record(Event::UnknownCommand {
            client: ClientKind::Lme,
            id: message.first().copied().unwrap_or_default().into(),
            status: 0,
        });
        Vec::new()
    }
}
