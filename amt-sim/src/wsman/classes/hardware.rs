//! What the machine is made of: parts of a made-up business machine whose serial numbers follow from the seed.

use crate::device::Firmware;
use crate::time::UnixTime;
use crate::wsman::call::Method;
use crate::wsman::provider::{Live, Provider};
use crate::wsman::value::Value;

pub(crate) const METHODS: &[Method] = &[];
pub(crate) const PROVIDERS: &[Provider] = &[];
pub(crate) const LIVE: &[Live] = &[
    Live::new("platform-guid", platform_guid),
    Live::new("bios-version", |fw| {
        Some(fw.profile.firmware.bios.as_str().into())
    }),
    // 2026-01-01, whatever the profile: no profile knows its date.
    Live::new("bios-date", |_| Some(UnixTime(1_767_225_600).into())),
    Live::new("processor-name", processor),
    Live::new("chassis-serial", |fw| serial(fw, "chassis serial", 'C')),
    Live::new("board-serial", |fw| serial(fw, "board serial", 'B')),
    Live::new("disk-serial", |fw| serial(fw, "disk serial", 'D')),
    Live::new("memory-serial-0", |fw| serial(fw, "memory serial 0", 'M')),
    Live::new("memory-serial-1", |fw| serial(fw, "memory serial 1", 'M')),
];

/// The SMBIOS UUID as 32 upper-case hex digits, in the byte order of SMBIOS.
fn platform_guid(fw: &Firmware) -> Option<Value> {
    let guid = crate::hex::encode(&fw.identity.uuid.to_wire());
    Some(guid.to_uppercase().into())
}

/// A letter and hex digits: a serial number of digits alone becomes a number in some clients.
fn serial(fw: &Firmware, part: &str, letter: char) -> Option<Value> {
    let digits = crate::hex::encode(&fw.seed.bytes::<5>(part, 0)).to_uppercase();
    Some(format!("{letter}X{digits}").into())
}

/// A processor of the chipset family that the profile names.
fn processor(fw: &Firmware) -> Option<Value> {
    let name = match fw.profile.platform.family.as_str() {
        "SPT" => "Intel(R) Core(TM) i5-6500 CPU @ 3.20GHz",
        "CNP" => "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz",
        "CML" => "Intel(R) Core(TM) i7-10700 CPU @ 2.90GHz",
        "TGL" => "11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz",
        "ADL" => "12th Gen Intel(R) Core(TM) i7-12700",
        "RPL" => "13th Gen Intel(R) Core(TM) i7-1370P",
        "MTL" => "Intel(R) Core(TM) Ultra 7 165H",
        "ARL" => "Intel(R) Core(TM) Ultra 7 265",
        "LNL" => "Intel(R) Core(TM) Ultra 7 268V",
        _ => "Intel(R) Core(TM) vPro(R) Processor",
    };
    Some(name.into())
}
