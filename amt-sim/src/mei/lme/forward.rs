//! Which ports the host is asked to listen on, one request at a time.

use std::collections::VecDeque;

use super::ports::Ports;
use crate::apf::{GlobalRequest, Message};
use crate::device::Firmware;

/// Management ports: HTTP, and HTTP over TLS.
const HTTP: u16 = 16992;
const HTTPS: u16 = 16993;

/// ASF-RMCP and its secure form. Agents know that the list is whole when they have seen a pair of HTTP and 623,
/// or HTTPS and 664.
const RMCP: u16 = 623;
const SECURE_RMCP: u16 = 664;

/// Redirection, redirection over TLS, and KVM to viewers that know nothing of AMT.
const EXTRA: [u16; 3] = [16994, 16995, 5900];

/// Text form of the address to listen on: local programs only, and no name. LMS writes a name into `/etc/hosts`.
const ADDRESS: &str = "127.0.0.1";

/// The ports that the host should listen on now. HTTP comes first: LMS takes the first one for its own requests.
pub(super) fn wanted(fw: &Firmware, ports: &impl Ports) -> Vec<u16> {
    let mut main: Vec<u16> = [HTTP, HTTPS]
        .into_iter()
        .filter(|port| ports.listens(fw, *port))
        .collect();
    if main.is_empty() {
        // Whatever keeps the ports closed now, the host hears where they will be.
        main.push(if fw.profile.capabilities.local_tls_enforced {
            HTTPS
        } else {
            HTTP
        });
    }
    let second = main
        .clone()
        .into_iter()
        .map(|port| if port == HTTP { RMCP } else { SECURE_RMCP });
    let extra = EXTRA.into_iter().filter(|port| ports.listens(fw, *port));
    let list: Vec<u16> = second.chain(extra).collect();
    main.extend(list);
    main
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Forward(u16),
    Cancel(u16),
}

/// What was asked of the host, and what is still to be asked.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    /// Asked for, or about to be.
    announced: Vec<u16>,
    /// What the host would not listen on. It is not asked again, and nothing is to be cancelled.
    refused: Vec<u16>,
    queue: VecDeque<Change>,
    /// Sent, and not answered yet.
    open: Option<Change>,
}

impl Forwards {
    /// Plans the requests that lead to this list.
    pub(super) fn update(&mut self, wanted: &[u16]) {
        let gone: Vec<u16> = self
            .announced
            .iter()
            .copied()
            .filter(|port| !wanted.contains(port))
            .collect();
        for port in gone {
            self.announced.retain(|known| *known != port);
            if self.refused.contains(&port) {
                self.refused.retain(|known| *known != port);
            } else {
                self.queue.push_back(Change::Cancel(port));
            }
        }
        for port in wanted {
            if !self.announced.contains(port) {
                self.announced.push(*port);
                self.queue.push_back(Change::Forward(*port));
            }
        }
    }

    /// The next request, once the last one was answered.
    pub(super) fn next(&mut self) -> Option<Message> {
        if self.open.is_some() {
            return None;
        }
        let change = self.queue.pop_front()?;
        self.open = Some(change);
        let address = ADDRESS.to_owned();
        let request = match change {
            Change::Forward(port) => GlobalRequest::TcpipForward {
                address,
                port: port.into(),
            },
            Change::Cancel(port) => GlobalRequest::CancelTcpipForward {
                address,
                port: port.into(),
            },
        };
        Some(Message::GlobalRequest {
            want_reply: true,
            request,
        })
    }

    /// The host answered; which port it was about, if it was asked to listen on one. Some hosts answer what was
    /// never asked.
    pub(super) fn answered(&mut self, accepted: bool) -> Option<u16> {
        match self.open.take()? {
            Change::Forward(port) => {
                if !accepted {
                    self.refused.push(port);
                }
                Some(port)
            }
            Change::Cancel(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(forwards: &mut Forwards, accept: bool) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(Message::GlobalRequest { request, .. }) = forwards.next() {
            out.push(match request {
                GlobalRequest::TcpipForward { port, .. } => format!("+{port}"),
                GlobalRequest::CancelTcpipForward { port, .. } => format!("-{port}"),
                other => format!("{other:?}"),
            });
            forwards.answered(accept);
        }
        out
    }

    #[test]
    fn a_new_list_is_reached_by_the_difference() {
        let mut forwards = Forwards::default();
        forwards.update(&[16992, 623]);
        assert_eq!(drain(&mut forwards, true), ["+16992", "+623"]);
        forwards.update(&[16992, 623]);
        assert!(drain(&mut forwards, true).is_empty());
        forwards.update(&[16993, 664]);
        assert_eq!(
            drain(&mut forwards, true),
            ["-16992", "-623", "+16993", "+664"]
        );
    }

    #[test]
    fn what_was_refused_is_neither_asked_again_nor_cancelled() {
        let mut forwards = Forwards::default();
        forwards.update(&[16992]);
        assert_eq!(drain(&mut forwards, false), ["+16992"]);
        forwards.update(&[16992]);
        assert!(drain(&mut forwards, true).is_empty());
        forwards.update(&[]);
        assert!(drain(&mut forwards, true).is_empty());
        forwards.update(&[16992]);
        assert_eq!(drain(&mut forwards, true), ["+16992"]);
    }

    #[test]
    fn one_request_waits_for_its_answer() {
        let mut forwards = Forwards::default();
        forwards.update(&[16992, 623]);
        assert!(forwards.next().is_some());
        assert_eq!(forwards.next(), None);
        assert_eq!(forwards.answered(true), Some(16992));
        assert_eq!(forwards.answered(true), None);
        assert!(forwards.next().is_some());
    }
}
