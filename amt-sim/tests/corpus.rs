//! Every input that the fuzzers start from, and mutations of each, on a stable compiler.
//!
//! The mutations are drawn from the file's own name, so a failure comes again. `AMT_SIM_MUTATIONS=2000` takes longer
//! and looks further.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken promise is a panic"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rstest::rstest;

#[path = "../fuzz/body/mod.rs"]
mod body;

/// A corpus holds at least that many, so that one which was not found does not pass.
const FEWEST: usize = 10;

#[rstest]
#[case::apf("apf", body::apf::run)]
#[case::http("http", body::http::run)]
#[case::soap("soap", body::soap::run)]
fn the_corpus_and_its_mutations(#[case] target: &str, #[case] run: fn(&[u8])) {
    let files = files(target);
    assert!(files.len() >= FEWEST, "{} files of {target}", files.len());
    let seeds: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, seed) in files.iter().zip(&seeds) {
        let name = path.file_name().unwrap().to_string_lossy();
        attempt(run, seed, &name, None);
        let mut draw = Draw::new(&name);
        for turn in 0..mutations() {
            let other = &seeds[draw.below(seeds.len())];
            attempt(run, &draw.mutate(seed, other), &name, Some(turn));
        }
    }
}

/// A corpus whose logins do not hold would test little.
#[test]
fn the_logins_of_the_corpus_hold() {
    let of = |file: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        fs::read(folder.join(file)).unwrap()
    };
    for file in ["http/rpcgo-lms", "http/rpcgo-lme", "http/rps"] {
        assert_eq!(body::http::statuses(&of(file)), [401, 200], "{file}");
    }
    for file in ["http/meshcommander", "http/openwsman"] {
        assert_eq!(body::http::statuses(&of(file)), [401, 200, 200], "{file}");
    }
    let setup = body::soap::statuses(&of("soap/rpcgo-activate-ccm.xml"));
    assert_eq!(setup, [[200, 200, 200], [200, 200, 200]]);
}

/// Says which input it was, and leaves it where it can be looked at.
fn attempt(run: fn(&[u8]), input: &[u8], name: &str, turn: Option<usize>) {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.failed"));
        fs::write(&kept, input).unwrap();
        panic!(
            "{name}, mutation {turn:?}, breaks a promise; the input is in {}",
            kept.display()
        );
    }
}

fn files(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn mutations() -> usize {
    std::env::var("AMT_SIM_MUTATIONS").map_or(100, |text| text.parse().unwrap())
}

/// Numbers without a pattern that matters here: xorshift64*, begun with FNV-1a of a name.
struct Draw(u64);

impl Draw {
    fn new(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Self(hash | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// One to four changes.
    fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len() + 1);
            let end = (at + self.below(64)).min(out.len());
            match self.below(8) {
                0 => {
                    if let Some(byte) = out.get_mut(at) {
                        *byte ^= 1 << (self.0 >> 60 & 7);
                    }
                }
                1 => {
                    if let Some(byte) = out.get_mut(at) {
                        *byte = ODD[usize::try_from(self.0 >> 40).unwrap() % ODD.len()];
                    }
                }
                2 => out.truncate(at),
                3 => drop(out.drain(at..end)),
                4 => {
                    let part = out[at..end].to_vec();
                    let to = self.below(out.len() + 1);
                    out.splice(to..to, part);
                }
                5 => {
                    let from = self.below(other.len() + 1);
                    let part = &other[from..(from + self.below(400)).min(other.len())];
                    out.splice(at..end, part.iter().copied());
                }
                6 => {
                    let byte = ODD[self.below(ODD.len())];
                    let count = self.below(6);
                    out.splice(at..at, std::iter::repeat_n(byte, count));
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    out.splice(at..end, word.bytes());
                }
            }
        }
        out
    }
}

/// Bytes that mean something to somebody.
const ODD: [u8; 16] = [
    0, 1, 0x1d, 0x1e, 0x1f, 0x7f, 0x80, 0xff, b'\r', b'\n', b'"', b'<', b'>', b'&', b';', b',',
];

const WORDS: [&str; 16] = [
    "\r\n\r\n",
    "\r\n",
    "0\r\n\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "ffffffffffffffff\r\n",
    "@NONCE@",
    "@RESPONSE@",
    "\\\"",
    "<![CDATA[",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&#0;",
    "&#x10ffff;",
    "-9223372036854775808",
    "\u{0}\u{0}\u{0}\u{0}",
    "\u{ff}\u{fffd}",
];
