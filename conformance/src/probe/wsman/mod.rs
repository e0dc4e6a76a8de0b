//! Lines of a script that speak WS-Management: a request for a class, and what its answer must say.
//!
//! | line                              | what happens                                                                    |
//! |-----------------------------------|---------------------------------------------------------------------------------|
//! | `wsman WHERE as USER PASSWORD`    | later requests go there: `lme`, `local:16992`, `network:16993` (with TLS)         |
//! | `wsman lme as $$OsAdmin`          | the same with the host's own account, whose password AMTHI gives                 |
//! | `wsman WHERE`                     | the same without a login                                                        |
//! | `wsman WHERE with certificate C`  | the same, known by a chain of the certificate laboratory, such as `good`         |
//! | `header XML`, `message-id TEXT`   | the next request has this in its Header                                         |
//! | `body XML`                        | the next request has this Body, whatever it asks                                |
//! | `get CLASS[Key=value, ...]`       | Get; without keys, of the one instance that there is                            |
//! | `put CLASS[...] Name=value -Name` | Put of what was read last, with these properties changed and those left out      |
//! | `create CLASS Name=value ...`     | Create                                                                          |
//! | `delete CLASS[...]`               | Delete                                                                          |
//! | `enumerate CLASS`                 | Enumerate                                                                       |
//! | `pull`, `pull 999`                | Pull under the last context, without MaxElements or with them                    |
//! | `pull 999 from @NAME`, `... of CLASS` | the same under a context that was kept, or for another class                  |
//! | `release`                         | Release of the last context                                                     |
//! | `all CLASS`                       | Enumerate, and a Pull of everything                                             |
//! | `invoke CLASS.METHOD Name=value`  | a method; a name that comes twice is an array, `Outer.Inner=value` nests          |
//! | `act URI CLASS`                   | any other action                                                                |
//! | `post XML`                        | a whole envelope                                                                |
//! | `returns 2058`                    | the method ran and returned this                                                |
//! | `fault wsa:DestinationUnreachable`| HTTP 400 and this fault; prefixes of DSP0226: `s`, `wsa`, `wsen`, `wsman`, `wxf`; any without a name |
//! | `status 401`                      | this HTTP status                                                                |
//! | `Name = value ...`, `!=`          | the property has these values, one for each element; `*` and `?` in a text        |
//! | `absent Name`                     | there is no such property                                                       |
//! | `keep Name as NAME`               | keeps its value; `@NAME` stands for it later                                     |
//! | `instances 2`                     | so many came                                                                    |
//! | `item 2`, `item Name=value`       | what follows is about that one of them                                          |
//! | `complete`, `incomplete`          | the Pull ended the enumeration, or gave a new context                           |
//! | `properties A B C`, `sorted`      | the elements have these names, or come in alphabetic order                      |
//! | `answer TEXT`, `answer not TEXT`  | the answer is letter by letter like that                                        |
//!
//! A request that none of `returns`, `fault` and `status` follows must succeed; a method must return 0. Requests share
//! nothing but time: each has a connection and a challenge of its own.
//!
//! A name is a path: `CreationTimeStamp.Datetime`; `CreatedCertificate[InstanceID]` is a selector of a reference;
//! `Header.RelatesTo` stands in the Header.
//!
//! | value                     | what it is                                                             |
//! |---------------------------|------------------------------------------------------------------------|
//! | `word`, `"a text"`        | this, with placeholders                                                |
//! | `@name`                   | what was kept                                                          |
//! | `octets:0102ff`           | these octets in Base64                                                 |
//! | `password:USER:PASSWORD`  | MD5 of user, realm and password, in Base64; `password-hex:` in hex       |
//! | `certificate:good.0`      | DER in Base64 of the first certificate of that chain of the laboratory   |
//! | `sha256:good.0`           | its SHA-256 in Base64                                                  |
//! | `key:good`                | the RSA key of its leaf, PKCS#1 in Base64                               |
//! | `unsigned-request:@name`  | a PKCS#10 request for the public key that was kept, without a signature  |
//! | `CLASS[Key=value]`        | a reference to that instance                                            |

mod answer;
mod draft;
mod player;
mod reader;
mod script;
#[cfg(test)]
mod tests;
mod xml;

pub(super) use player::Session;
pub(super) use script::{Line, VERBS, parse};
