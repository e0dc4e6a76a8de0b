//! System calls that a signal interrupts are made again.
//!
//! The MEI driver answers EINTR to a program that gets a signal while it waits; nothing has happened then. The kernel makes
//! none of these calls again by itself, not even with `SA_RESTART`. Source: Linux `drivers/misc/mei/main.c`; `signal(7)`.

use std::time::Duration;

use amt_sim::host::port::{MeiChannel, MeiPort, PortError};
use amt_sim::{ClientProperties, Errno, Guid};

/// A port on which nobody ever sees EINTR.
#[derive(Debug, Clone, Copy)]
pub struct Steady<'a> {
    under: &'a dyn MeiPort,
    /// How often a call is made at most: signals may come often, but not for ever.
    tries: u32,
}

impl<'a> Steady<'a> {
    const TRIES: u32 = 100;

    pub fn new(under: &'a dyn MeiPort) -> Self {
        Self {
            under,
            tries: Self::TRIES,
        }
    }

    /// For a program that takes EINTR for a failure.
    #[must_use]
    pub fn that_gives_up(mut self, gives_up: bool) -> Self {
        if gives_up {
            self.tries = 1;
        }
        self
    }
}

impl MeiPort for Steady<'_> {
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        let under = again(self.tries, || self.under.connect(client))?;
        Ok(Box::new(SteadyChannel {
            under,
            tries: self.tries,
        }))
    }
}

#[derive(Debug)]
struct SteadyChannel {
    under: Box<dyn MeiChannel>,
    tries: u32,
}

impl MeiChannel for SteadyChannel {
    fn properties(&self) -> ClientProperties {
        self.under.properties()
    }

    fn send(&mut self, message: &[u8]) -> Result<(), PortError> {
        again(self.tries, || self.under.send(message))
    }

    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError> {
        again(self.tries, || self.under.receive(timeout))
    }
}

fn again<T>(tries: u32, mut call: impl FnMut() -> Result<T, PortError>) -> Result<T, PortError> {
    for _ in 1..tries {
        match call() {
            Err(error) if error.is(Errno::Eintr) => {}
            result => return result,
        }
    }
    call()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::VirtualDevice;
    use amt_sim::{ClientKind, Device};
    use rstest::rstest;

    const GET_UUID: [u8; 12] = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];

    fn ask(fault: &str, gives_up: bool) -> Result<Vec<u8>, PortError> {
        let builder = Device::builder("tiger-lake-15").fault(fault.parse().unwrap());
        let device = VirtualDevice::new(builder.build().unwrap());
        let port = Steady::new(&device).that_gives_up(gives_up);
        let mut channel = port.connect(ClientKind::Amthi.guid())?;
        channel.send(&GET_UUID)?;
        channel.receive(Duration::from_secs(5))
    }

    #[rstest]
    #[case("open=EINTR*1")]
    #[case("connect=EINTR*3")]
    #[case("write=EINTR*3")]
    #[case("read=EINTR*3")]
    fn an_interrupted_call_is_made_again(#[case] fault: &str) {
        assert_eq!(ask(fault, false).unwrap().len(), 32);
        assert!(ask(fault, true).unwrap_err().is(Errno::Eintr));
    }

    #[test]
    fn not_for_ever() {
        assert!(ask("read=EINTR", false).unwrap_err().is(Errno::Eintr));
    }

    #[test]
    fn every_other_error_is_told() {
        assert!(ask("write=EBUSY*1", false).unwrap_err().is(Errno::Ebusy));
    }
}
