use proptest::prelude::*;
use rstest::rstest;

use super::super::kernel;
use super::*;

fn parse(bytes: &[u8]) -> Operation<'_> {
    Request::parse(bytes).unwrap().operation
}

#[rstest]
#[case(kernel::init(), Operation::Init { major: 7, minor: 45, flags: 0x73ff_fffb })]
#[case(kernel::cuse_init(), Operation::CuseInit { major: 7, minor: 45 })]
#[case(kernel::getattr(5), Operation::GetAttributes)]
#[case(kernel::chmod(5, 0o666), Operation::SetAttributes(Change { mode: Some(0o666), uid: None, gid: None }))]
#[case(kernel::open(5, 0x802), Operation::Open { flags: 0x802 })]
#[case(kernel::release(5, 3), Operation::Release { file: 3 })]
#[case(kernel::fsync(5, 3), Operation::Sync { file: 3 })]
#[case(kernel::read(5, 3, 5120, 2), Operation::Read { file: 3, size: 5120, flags: 2 })]
#[case(kernel::write(5, 3, b"abc", 2), Operation::Write { file: 3, flags: 2, data: b"abc" })]
#[case(kernel::poll(5, 3, 9, true), Operation::Poll { file: 3, kernel_handle: 9, notify: true })]
#[case(kernel::interrupt(5, 4), Operation::Interrupt { unique: 4 })]
#[case(kernel::request(99, 5, b""), Operation::Other(99))]
#[case(kernel::request(14, 5, b"abc"), Operation::Truncated(14))]
fn requests_are_read(#[case] bytes: Vec<u8>, #[case] operation: Operation<'_>) {
    assert_eq!(parse(&bytes), operation);
}

#[test]
fn an_ioctl_is_read_with_its_data() {
    let bytes = kernel::ioctl(5, 3, 2, 0xC010_4801, &[7; 16], 16);
    let want = Ioctl {
        file: 3,
        unrestricted: true,
        number: 0xC010_4801,
        argument: 0x7fff_0000_1000,
        input: &[7; 16],
        output: 16,
    };
    assert_eq!(parse(&bytes), Operation::Ioctl(want));
}

#[test]
fn the_header_says_who_asks() {
    let bytes = kernel::getattr(77);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!((request.unique, request.uid, request.gid), (77, 1000, 100));
}

#[rstest]
#[case::done(Message::done(1), 16)]
#[case::init(Message::init(1, u32::MAX), 16 + 64)]
#[case::cuse_init(Message::cuse_init(1, "mei0"), 16 + 72 + 13)]
#[case::attributes(Message::attributes(1, &Attributes { mode: 0, uid: 0, gid: 0, size: 0, time: 0 }), 16 + 104)]
#[case::opened(Message::opened(1, 2), 16 + 16)]
#[case::written(Message::written(1, 2), 16 + 8)]
#[case::polled(Message::polled(1, 2), 16 + 8)]
#[case::ioctl(Message::ioctl_done(1, &[0; 20]), 16 + 16 + 20)]
#[case::retry_both(Message::ioctl_retry(1, 2, 16, 16), 16 + 16 + 32)]
#[case::retry_out(Message::ioctl_retry(1, 2, 0, 4), 16 + 16 + 16)]
#[case::statistics(Message::statistics(1), 16 + 80)]
#[case::notice(Message::poll_changed(1), 16 + 8)]
fn replies_have_the_kernels_size(#[case] mut message: Message, #[case] size: usize) {
    let bytes = message.with_data(&[]).to_vec();
    assert_eq!(bytes.len(), size);
    assert_eq!(bytes[..4], (size as u32).to_ne_bytes());
    assert_eq!(
        Message::done(1).with_data(&[0; 9])[..4],
        25u32.to_ne_bytes()
    );
}

#[test]
fn the_root_of_the_mount_has_its_attributes_where_the_kernel_looks() {
    let attributes = Attributes {
        mode: 0o100_600,
        uid: 3,
        gid: 4,
        size: 5,
        time: 6,
    };
    let (_, error, body) = kernel::parse_reply(Message::attributes(9, &attributes).with_data(&[]));
    assert_eq!(error, 0);
    let mut fields = Fields(&body[16..]);
    assert_eq!((fields.u64(), fields.u64()), (Some(1), Some(5)));
    fields.skip(8).unwrap();
    assert_eq!([fields.u64(), fields.u64(), fields.u64()], [Some(6); 3]);
    fields.skip(12).unwrap();
    assert_eq!(fields.u32(), Some(0o100_600));
    assert_eq!(fields.u32(), Some(1));
    assert_eq!((fields.u32(), fields.u32()), (Some(3), Some(4)));
}

proptest! {
    #[test]
    fn no_request_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&bytes);
    }

    #[test]
    fn no_body_is_a_panic(opcode in 0u32..60, body in prop::collection::vec(any::<u8>(), 0..120)) {
        let bytes = kernel::request(opcode, 1, &body);
        prop_assert!(Request::parse(&bytes).is_some());
    }

    #[test]
    fn a_written_message_is_read_back(data in prop::collection::vec(any::<u8>(), 0..300), file: u64, flags: u32) {
        let bytes = kernel::write(1, file, &data, flags);
        prop_assert_eq!(parse(&bytes), Operation::Write { file, flags, data: &data });
    }
}
