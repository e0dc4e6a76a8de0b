//! Who may do what.
//!
//! `admin` may do everything. `$$OsAdmin` reads what the class data mark as local, what its fixed realms cover, and
//! writes a few classes that the host's own service writes. An entry of the access control list has its realms.
//! Who may not gets HTTP's 401 page, not a fault: seen in field reports of public agents.
//!
//! Source: "Intel AMT Implementation and Reference Guide", pages "Predefined local system users" and
//! "Authorization realms"; which classes the host's service calls, from LMS.

use super::call::Access;
use super::schema::Class;
use crate::device::{Caller, Firmware, Principal, Realm, Rule};

/// The realms of `$$OsAdmin`.
pub(crate) const OS_ADMIN_REALMS: &[Realm] = &[
    Realm::GENERAL_INFO,
    Realm::LOCAL_SYSTEM,
    Realm::LOCAL_USER_NOTIFICATION,
    Realm::ENDPOINT_ACCESS_CONTROL,
    Realm::STORAGE,
    Realm::HARDWARE_ASSET,
    Realm::EVENT_LOG_READER,
];

/// Classes that `$$OsAdmin` may change: those that LMS keeps in step with the operating system.
const OS_ADMIN_WRITES: &[&str] = &[
    "IPS_HostIPSettings",
    "IPS_ScreenSettingData",
    "IPS_SecIOService",
    "CIM_WiFiEndpointSettings",
];

/// Realms that only look.
const READ_ONLY: &[Realm] = &[
    Realm::GENERAL_INFO,
    Realm::HARDWARE_ASSET,
    Realm::EVENT_LOG_READER,
];

/// What a caller has.
enum Rights<'a> {
    Everything,
    OsAdmin,
    Realms(&'a [Realm]),
}

fn rights<'a>(fw: &'a Firmware, caller: &Caller) -> Rights<'a> {
    if !fw.enforced(Rule::WSMAN_REALMS) {
        return Rights::Everything;
    }
    match caller.principal {
        Principal::Admin => Rights::Everything,
        Principal::OsAdmin => Rights::OsAdmin,
        Principal::Account { handle } => {
            let account = fw
                .state
                .accounts
                .iter()
                .find(|entry| entry.handle == handle);
            match account {
                Some(account) if account.realms.contains(&Realm::ADMINISTRATION) => {
                    Rights::Everything
                }
                Some(account) => Rights::Realms(&account.realms),
                None => Rights::Realms(&[]),
            }
        }
    }
}

fn share(a: &[Realm], b: &[Realm]) -> bool {
    a.iter().any(|realm| b.contains(realm))
}

/// Get, Enumerate, Pull.
pub(crate) fn may_read(fw: &Firmware, caller: &Caller, class: &Class) -> bool {
    match rights(fw, caller) {
        Rights::Everything => true,
        Rights::OsAdmin => class.local || share(&class.realms, OS_ADMIN_REALMS),
        Rights::Realms(realms) => share(&class.realms, realms),
    }
}

/// Put, Create, Delete.
pub(crate) fn may_write(fw: &Firmware, caller: &Caller, class: &Class) -> bool {
    match rights(fw, caller) {
        Rights::Everything => true,
        Rights::OsAdmin => OS_ADMIN_WRITES.contains(&class.name.as_str()),
        Rights::Realms(realms) => class
            .realms
            .iter()
            .any(|realm| realms.contains(realm) && !READ_ONLY.contains(realm)),
    }
}

/// A method.
pub(crate) fn may_call(fw: &Firmware, caller: &Caller, access: Access) -> bool {
    match (rights(fw, caller), access) {
        (Rights::Everything, _) | (_, Access::Anyone) | (Rights::OsAdmin, Access::OsAdmin) => true,
        (_, Access::Administrator) | (Rights::Realms(_), Access::OsAdmin) => false,
        (Rights::OsAdmin, Access::Realms(wanted)) => share(wanted, OS_ADMIN_REALMS),
        (Rights::Realms(realms), Access::Realms(wanted)) => share(wanted, realms),
    }
}
