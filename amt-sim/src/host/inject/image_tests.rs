//! Files put together as linkers do, and files that nobody would.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::pki::odca_root::of_length;

/// A program with two segments: headers and constants at `base`, data a mebibyte above.
struct Program {
    base: u64,
    constants: Vec<u8>,
    data: Vec<u8>,
}

const DATA: u64 = 0x10_0000;
/// Headers come first, in the segment of the constants.
const CONSTANTS: usize = 0x100;

impl Program {
    fn linked_to(base: u64) -> Self {
        Self {
            base,
            // Nothing begins at an address that is a multiple of everything.
            constants: b"constants of the program".to_vec(),
            data: Vec::new(),
        }
    }

    /// Puts a constant in; gives its address.
    fn constant(&mut self, bytes: &[u8]) -> u64 {
        let at = self.base + (CONSTANTS + self.constants.len()) as u64;
        self.constants.extend_from_slice(bytes);
        at
    }

    fn word(&mut self, word: u64) -> u64 {
        let at = self.base + DATA + self.data.len() as u64;
        self.data.extend(word.to_le_bytes());
        at
    }

    fn pair(&mut self, address: u64, length: usize) {
        self.word(address);
        self.word(length as u64);
    }

    fn entry(&self) -> u64 {
        self.base + 0x40
    }

    fn file(&self) -> Vec<u8> {
        let start = CONSTANTS + self.constants.len();
        let mut file = vec![0; CONSTANTS];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(18, &62_u16.to_le_bytes());
        put(24, &self.entry().to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &3_u16.to_le_bytes());
        let rows = [
            // A note, to be passed over.
            (4, 0, 0, 0),
            (1, 0, self.base, start),
            (1, start, self.base + DATA, self.data.len()),
        ];
        for (index, (kind, offset, address, size)) in rows.into_iter().enumerate() {
            let row = 64 + 56 * index;
            put(row, &[kind, 0, 0, 0, 4]);
            put(row + 8, &(offset as u64).to_le_bytes());
            put(row + 16, &address.to_le_bytes());
            put(row + 32, &(size as u64).to_le_bytes());
        }
        file.extend_from_slice(&self.constants);
        file.extend_from_slice(&self.data);
        file
    }
}

fn on_die(length: usize) -> Vec<u8> {
    of_length(length).unwrap()
}

/// A root, but not an on-die one.
fn other_root() -> Vec<u8> {
    let identity = crate::pki::ProvisioningIdentity::for_name("a.corp.example").unwrap();
    identity.chain.last().cloned().unwrap()
}

#[rstest]
#[case::fixed(0x40_0000)]
#[case::moved(0)]
fn a_root_that_is_pointed_at_is_found(#[case] base: u64) {
    let mut program = Program::linked_to(base);
    program.constant(&other_root());
    let root = on_die(702);
    let at = program.constant(&root);
    program.pair(at, root.len());
    assert_eq!(
        find(&program.file()),
        Ok(Finding {
            root,
            addresses: vec![at],
            entry: program.entry(),
        })
    );
}

/// The word that the linker left to the loader is still zero in the file.
#[test]
fn a_pair_that_the_loader_will_make_counts() {
    let mut program = Program::linked_to(0);
    let root = on_die(702);
    let at = program.constant(&root);
    let pointer = program.word(0);
    program.word(root.len() as u64);
    program.word(pointer);
    program.word(8);
    program.word(at);
    assert_eq!(find(&program.file()).unwrap().addresses, [at]);
}

#[test]
fn copies_are_all_found() {
    let mut program = Program::linked_to(0x40_0000);
    let root = on_die(702);
    let one = program.constant(&root);
    let other = program.constant(&root);
    program.pair(other, root.len());
    assert_eq!(find(&program.file()).unwrap().addresses, [one, other]);
}

#[test]
fn one_that_nothing_points_at_is_left_alone() {
    let mut program = Program::linked_to(0x40_0000);
    let root = on_die(702);
    let at = program.constant(&root);
    // Another length, and another address.
    program.pair(at, root.len() - 1);
    program.pair(at + 1, root.len());
    program.constant(&other_root());
    assert_eq!(find(&program.file()), Err(Unfit::Absent(2)));
}

#[test]
fn which_of_two_is_not_guessed() {
    let mut program = Program::linked_to(0x40_0000);
    for length in [702, 703] {
        let at = program.constant(&on_die(length));
        program.pair(at, length);
    }
    assert_eq!(find(&program.file()), Err(Unfit::Several(2)));
}

#[test]
fn a_packed_program_is_told_from_an_empty_one() {
    let mut program = Program::linked_to(0x40_0000);
    assert_eq!(find(&program.file()), Err(Unfit::Absent(0)));
    program.constant(b"UPX!");
    assert_eq!(find(&program.file()), Err(Unfit::Packed));
}

#[test]
fn what_is_no_program_is_told_so() {
    assert_eq!(find(b"#!/bin/sh\nexec rpc\n"), Err(Unfit::NotElf));
    assert_eq!(find(b""), Err(Unfit::NotElf));
    let mut file = Program::linked_to(0).file();
    file[4] = 1;
    assert_eq!(find(&file), Err(Unfit::OtherMachine));
    let mut file = Program::linked_to(0).file();
    file[18] = 183;
    assert_eq!(find(&file), Err(Unfit::OtherMachine));
    let mut file = Program::linked_to(0).file();
    // The table is said to be outside.
    file[38] = 1;
    assert_eq!(find(&file), Err(Unfit::Broken));
    let file = Program::linked_to(0).file();
    assert_eq!(find(&file[..200]), Err(Unfit::Broken));
}

fn fit() -> Vec<u8> {
    let mut program = Program::linked_to(0x40_0000);
    let root = on_die(702);
    let at = program.constant(&root);
    program.pair(at, root.len());
    program.file()
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = find(&bytes);
        let mut headed = b"\x7fELF\x02\x01".to_vec();
        headed.extend(&bytes);
        let _ = find(&headed);
    }

    /// A program with a few bytes changed, and cut short.
    #[test]
    fn nothing_that_is_nearly_a_program_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        header in prop::collection::vec((0..CONSTANTS, any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let mut file = fit();
        for (index, byte) in changes {
            let at = index.index(file.len());
            file[at] = byte;
        }
        for (at, byte) in header {
            file[at] = byte;
        }
        if !keep {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(found) = find(&file) {
            prop_assert!(!found.addresses.is_empty());
        }
    }
}
