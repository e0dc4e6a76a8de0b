//! MAC addresses in profiles.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Six bytes in transmission order, written `aa:bb:cc:dd:ee:ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::hex::decode(&text.replace(':', ""))
            .and_then(|bytes| <[u8; 6]>::try_from(bytes).ok())
            .map(Mac)
            .ok_or_else(|| de::Error::custom("expected a MAC address such as 02:00:5e:10:00:01"))
    }
}
