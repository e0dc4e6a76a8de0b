//! A ZIP archive whose files are stored as they are.
//!
//! ```text
//!   each file   0x04034b50, head, name, bytes
//!   directory   for each file 0x02014b50, the same head and where the file begins
//!   end         0x06054b50, number of files, size and place of the directory
//! ```
//! Numbers are little-endian. Source: PKWARE APPNOTE.TXT 6.3.

use std::io::{self, Write};

/// The first of January 1980, where the format's time begins: an archive is the same for the same content.
const DATE: u16 = 0x21;

#[derive(Debug)]
pub(super) struct Archive<W> {
    out: W,
    written: u64,
    directory: Vec<u8>,
    files: u16,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            written: 0,
            directory: Vec::new(),
            files: 0,
        }
    }

    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let too_big = || {
            io::Error::other(
                "a ZIP file of this kind holds 65535 files and 4 GiB; write to a folder",
            )
        };
        let size = u32::try_from(bytes.len()).map_err(|_| too_big())?;
        let start = u32::try_from(self.written).map_err(|_| too_big())?;
        let length = u16::try_from(name.len()).map_err(|_| too_big())?;
        self.files = self.files.checked_add(1).ok_or_else(too_big)?;
        let mut head = Vec::new();
        head.extend(20_u16.to_le_bytes()); // version that reads it
        head.extend(0x0800_u16.to_le_bytes()); // names are UTF-8
        head.extend(0_u16.to_le_bytes()); // stored
        head.extend(0_u16.to_le_bytes());
        head.extend(DATE.to_le_bytes());
        head.extend(crc32(bytes).to_le_bytes());
        head.extend(size.to_le_bytes());
        head.extend(size.to_le_bytes());
        head.extend(length.to_le_bytes());
        head.extend(0_u16.to_le_bytes());

        self.write(&0x0403_4b50_u32.to_le_bytes())?;
        self.write(&head)?;
        self.write(name.as_bytes())?;
        self.write(bytes)?;

        self.directory.extend(0x0201_4b50_u32.to_le_bytes());
        self.directory.extend(20_u16.to_le_bytes());
        self.directory.extend(head);
        // No comment, first disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(start.to_le_bytes());
        self.directory.extend(name.as_bytes());
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        let place = u32::try_from(self.written).map_err(io::Error::other)?;
        let directory = std::mem::take(&mut self.directory);
        let size = u32::try_from(directory.len()).map_err(io::Error::other)?;
        self.write(&directory)?;
        let mut end = Vec::new();
        end.extend(0x0605_4b50_u32.to_le_bytes());
        end.extend([0; 4]);
        end.extend(self.files.to_le_bytes());
        end.extend(self.files.to_le_bytes());
        end.extend(size.to_le_bytes());
        end.extend(place.to_le_bytes());
        end.extend([0; 2]);
        self.write(&end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// CRC-32 of ISO 3309.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[usize::from((crc as u8) ^ byte)];
    !bytes.iter().fold(u32::MAX, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xedb8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn files_are_where_the_directory_says() {
        let mut archive = Archive::new(Vec::new());
        archive.add("a.txt", b"first").unwrap();
        archive.add("b/c.txt", b"second").unwrap();
        let bytes = archive.finish().unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let end = bytes.len() - 22;
        assert_eq!(word(end), 0x0605_4b50);
        assert_eq!(bytes[end + 10], 2);
        let second = word(end + 16) + 46 + "a.txt".len();
        assert_eq!(word(second), 0x0201_4b50);
        let file = word(second + 42);
        assert_eq!(word(file), 0x0403_4b50);
        assert_eq!(&bytes[file + 30..file + 37], b"b/c.txt");
        assert_eq!(&bytes[file + 37..file + 43], b"second");
    }
}
