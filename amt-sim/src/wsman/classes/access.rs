//! Access control list: who may log in with what rights, and what the administrator is called.

use crate::device::{
    AccessPermission, Account, Event, Firmware, Mode, Principal, Realm, Rule, assumed,
};
use crate::wsman::call::{Access, Call, Input, Method, Outcome, status};
use crate::wsman::provider::{Live, Provider};
use crate::wsman::store;
use crate::wsman::value::Value;

const SERVICE: &str = "AMT_AuthorizationService";
const WEB_PAGE: &str = "AMT_WebUIService";

/// Users that log in by digest. Source: "Intel AMT Implementation and Reference Guide", page "ACL limits".
const MOST_ACCOUNTS: usize = 15;
/// Handles that one answer of EnumerateUserAclEntries holds.
const HANDLES_AT_A_TIME: usize = 50;
const LONGEST_NAME: usize = 16;

const ACL: Access = Access::Realms(&[Realm::USER_ACCESS_CONTROL]);

pub(crate) const METHODS: &[Method] = &[
    method("SetAdminAclEntryEx", Access::Administrator, set_admin),
    method("GetAdminAclEntry", ACL, admin),
    method("GetAdminAclEntryStatus", ACL, admin_status),
    method("GetAdminNetAclEntryStatus", ACL, admin_status),
    method("AddUserAclEntryEx", ACL, add),
    method("EnumerateUserAclEntries", ACL, enumerate),
    method("GetUserAclEntryEx", Access::Anyone, get),
    method("UpdateUserAclEntryEx", ACL, update),
    method("RemoveUserAclEntry", ACL, remove),
    method("SetAclEnabledState", ACL, set_enabled),
    method("GetAclEnabledState", ACL, enabled),
    Method {
        class: WEB_PAGE,
        name: "RequestStateChange",
        access: Access::Administrator,
        call: request_web_page,
    },
];
pub(crate) const PROVIDERS: &[Provider] = &[];
pub(crate) const LIVE: &[Live] = &[Live {
    name: "web-page-state",
    value: |fw| Some(if fw.profile.features.web_ui { 2 } else { 3 }.into()),
}];

const fn method(
    name: &'static str,
    access: Access,
    call: fn(&mut Call<'_>) -> Outcome,
) -> Method {
    Method::new(SERVICE, name, access, call)
}

/// SetAdminAclEntryEx: another name, another password, or both.
fn set_admin(call: &mut Call<'_>) -> Outcome {
    let Some(user) = call.input.text("Username").filter(|name| is_name(name)) else {
        return Outcome::status(status::INVALID_NAME);
    };
    let ha1 = match digest_password(call.fw, call.input) {
        Ok(Some(ha1)) => ha1,
        Ok(None) => return Outcome::status(status::INVALID_PARAMETER),
        Err(refused) => return refused,
    };
    let taken = |account: &Account| account.user == user;
    if call.fw.state.accounts.iter().any(taken) {
        return Outcome::status(status::DUPLICATE);
    }
    let user = user.to_owned();
    call.fw.remember(|state| {
        state.admin_name = user;
        state.admin_ha1 = Some(ha1);
    });
    Outcome::OK
}

fn admin(call: &mut Call<'_>) -> Outcome {
    Outcome::OK.with("Username", call.fw.state.admin_name.as_str())
}

/// Whether the administrator's password is still that of the factory.
fn admin_status(call: &mut Call<'_>) -> Outcome {
    Outcome::OK.with("IsDefault", call.fw.state.admin_ha1.is_none())
}

fn add(call: &mut Call<'_>) -> Outcome {
    let wanted = match Wanted::read(call.fw, call.input) {
        Ok(wanted) => wanted,
        Err(refused) => return refused,
    };
    let (Some(user), Some(ha1)) = (wanted.user, wanted.ha1) else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if is_taken(call.fw, &user, None) {
        return Outcome::status(status::DUPLICATE);
    }
    let accounts = &call.fw.state.accounts;
    if accounts.len() >= MOST_ACCOUNTS {
        return Outcome::status(status::MAX_LIMIT_REACHED);
    }
    // The smallest number that is free, from 1 up: one of the first sixteen is.
    let is_free = |handle: &u32| accounts.iter().all(|account| account.handle != *handle);
    let handle = (1..).find(is_free).unwrap_or(u32::MAX);
    call.fw.remember(|state| {
        state.accounts.push(Account {
            handle,
            user,
            ha1,
            access: wanted.access,
            realms: wanted.realms,
            enabled: true,
        });
    });
    Outcome::OK.with("Handle", handle)
}

fn enumerate(call: &mut Call<'_>) -> Outcome {
    let accounts = &call.fw.state.accounts;
    let Some(start) = call.input.fits::<usize>("StartIndex") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    // The first entry is number 1. An empty list has nothing to start at, but asking for it is no mistake.
    if start == 0 || start > accounts.len().max(1) {
        return Outcome::status(status::INVALID_INDEX);
    }
    let handles: Vec<Value> = accounts
        .iter()
        .skip(start - 1)
        .take(HANDLES_AT_A_TIME)
        .map(|account| account.handle.into())
        .collect();
    let total = count(accounts.len());
    let returned = count(handles.len());
    call.fw.assume(assumed::SYSTEM_ACCOUNTS);
    Outcome::OK
        .with("TotalCount", total)
        .with("HandlesCount", returned)
        .with("Handles", Value::List(handles))
}

/// GetUserAclEntryEx: everybody may look at the own entry, whoever manages accounts at all of them.
fn get(call: &mut Call<'_>) -> Outcome {
    let Some(account) = find(call) else {
        return Outcome::status(status::INVALID_HANDLE);
    };
    if !may_see(call, account.handle) {
        return Outcome::status(status::NOT_PERMITTED);
    }
    let realms = account.realms.iter().map(|realm| realm.0.into()).collect();
    Outcome::OK
        .with("DigestUsername", account.user.as_str())
        .with("AccessPermission", account.access as u32)
        .with("Realms", Value::List(realms))
}

/// UpdateUserAclEntryEx: a name or a password that is not given stays.
fn update(call: &mut Call<'_>) -> Outcome {
    let Some(handle) = find(call).map(|account| account.handle) else {
        return Outcome::status(status::INVALID_HANDLE);
    };
    let wanted = match Wanted::read(call.fw, call.input) {
        Ok(wanted) => wanted,
        Err(refused) => return refused,
    };
    if let Some(user) = &wanted.user
        && is_taken(call.fw, user, Some(handle))
    {
        return Outcome::status(status::DUPLICATE);
    }
    change(call.fw, handle, |account| {
        if let Some(user) = wanted.user {
            account.user = user;
        }
        if let Some(ha1) = wanted.ha1 {
            account.ha1 = ha1;
        }
        account.access = wanted.access;
        account.realms = wanted.realms;
    })
}

fn remove(call: &mut Call<'_>) -> Outcome {
    let Some(handle) = find(call).map(|account| account.handle) else {
        return Outcome::status(status::INVALID_HANDLE);
    };
    call.fw.remember(|state| {
        state.accounts.retain(|account| account.handle != handle);
    });
    Outcome::OK
}

fn set_enabled(call: &mut Call<'_>) -> Outcome {
    let Some(handle) = find(call).map(|account| account.handle) else {
        return Outcome::status(status::INVALID_HANDLE);
    };
    let Some(enabled) = call.input.bool("Enabled") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    change(call.fw, handle, |account| account.enabled = enabled)
}

fn enabled(call: &mut Call<'_>) -> Outcome {
    match find(call) {
        Some(account) => Outcome::OK.with("Enabled", account.enabled),
        None => Outcome::status(status::INVALID_HANDLE),
    }
}

/// What AddUserAclEntryEx and UpdateUserAclEntryEx ask for.
struct Wanted {
    user: Option<String>,
    ha1: Option<String>,
    access: AccessPermission,
    realms: Vec<Realm>,
}

impl Wanted {
    fn read(fw: &mut Firmware, input: &Input) -> Result<Self, Outcome> {
        if input.text("KerberosUserSid").is_some_and(|sid| !sid.is_empty()) {
            fw.assume(assumed::KERBEROS_ACCOUNTS);
            return Err(Outcome::status(status::UNSUPPORTED));
        }
        let user = input.text("DigestUsername").filter(|name| !name.is_empty());
        if user.is_some_and(|name| !is_name(name)) {
            return Err(Outcome::status(status::INVALID_NAME));
        }
        let access = match input.number("AccessPermission") {
            Some(0) => AccessPermission::LocalOnly,
            Some(1) => AccessPermission::NetworkOnly,
            Some(2) => AccessPermission::Any,
            _ => return Err(Outcome::status(status::INVALID_PARAMETER)),
        };
        Ok(Self {
            user: user.map(str::to_owned),
            ha1: digest_password(fw, input)?,
            access,
            realms: realms(input)?,
        })
    }
}

/// One element a realm. One public library wraps them: `<Realms><RealmValue>3</RealmValue></Realms>`.
fn realms(input: &Input) -> Result<Vec<Realm>, Outcome> {
    let mut texts = Vec::new();
    for element in input.elements("Realms") {
        if element.children.is_empty() {
            texts.push(element.text.trim());
        }
        texts.extend(element.children.iter().map(|child| child.text.trim()));
    }
    let mut realms = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(number) if is_realm(number) => realms.push(Realm(number)),
            _ => return Err(Outcome::status(status::INVALID_REALM)),
        }
    }
    realms.sort_unstable();
    realms.dedup();
    match realms.is_empty() {
        true => Err(Outcome::status(status::INVALID_REALM)),
        false => Ok(realms),
    }
}

const fn is_realm(number: u32) -> bool {
    matches!(number, 2..=21 | 24)
}

/// `DigestPassword`: the sixteen octets of MD5(user:realm:password). `None` when it is not there.
///
/// Some senders write the 32 hex digits instead, which decode to 24 octets of something else.
fn digest_password(fw: &mut Firmware, input: &Input) -> Result<Option<String>, Outcome> {
    let Some(text) = input.text("DigestPassword").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let octets = input.bytes("DigestPassword");
    let in_setup = matches!(fw.mode(), Mode::SetupOutOfBand | Mode::SetupHostBased);
    let hex = crate::hex::decode(text).is_some_and(|octets| octets.len() == 16);
    match octets.filter(|octets| octets.len() == 16) {
        Some(octets) => Ok(Some(crate::hex::encode(&octets))),
        None if hex && in_setup && fw.profile.assumptions.hex_digest_password => {
            fw.assume(assumed::HEX_DIGEST_PASSWORD);
            fw.record(Event::WsmanFinding {
                what: "DigestPassword is 32 hex digits, not base64 of 16 octets".to_owned(),
            });
            Ok(Some(text.to_ascii_lowercase()))
        }
        None if fw.enforced(Rule::DIGEST_PASSWORD_OCTETS) => {
            fw.record(Event::WsmanFinding {
                what: format!(
                    "DigestPassword is no base64 of 16 octets: {} characters",
                    text.len()
                ),
            });
            Err(Outcome::status(status::INVALID_PARAMETER))
        }
        None if hex => Ok(Some(text.to_ascii_lowercase())),
        None => Err(Outcome::status(status::INVALID_PARAMETER)),
    }
}

/// Up to sixteen printable characters that a digest header can carry, and not a system account's.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"&:<>".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with("$$")
}

fn is_taken(fw: &Firmware, user: &str, except: Option<u32>) -> bool {
    user == fw.state.admin_name
        || fw
            .state
            .accounts
            .iter()
            .any(|account| account.user == user && Some(account.handle) != except)
}

fn may_see(call: &Call<'_>, handle: u32) -> bool {
    let accounts = &call.fw.state.accounts;
    match call.caller.principal {
        Principal::Admin => true,
        Principal::OsAdmin => false,
        Principal::Account { handle: own } => {
            let manages = |account: &Account| {
                account.handle == own
                    && [Realm::USER_ACCESS_CONTROL, Realm::ADMINISTRATION]
                        .iter()
                        .any(|realm| account.realms.contains(realm))
            };
            own == handle || accounts.iter().any(manages)
        }
    }
}

fn find<'a>(call: &'a Call<'_>) -> Option<&'a Account> {
    let handle = call.input.fits::<u32>("Handle")?;
    let accounts = &call.fw.state.accounts;
    accounts.iter().find(|account| account.handle == handle)
}

fn change(fw: &mut Firmware, handle: u32, edit: impl FnOnce(&mut Account)) -> Outcome {
    fw.remember(|state| {
        let mut accounts = state.accounts.iter_mut();
        if let Some(account) = accounts.find(|account| account.handle == handle) {
            edit(account);
        }
    });
    Outcome::OK
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// RequestStateChange of the web page: 2 on, 3 off.
fn request_web_page(call: &mut Call<'_>) -> Outcome {
    let Some(state @ 2..=3) = call.input.number("RequestedState") else {
        return Outcome::status(status::cim::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, WEB_PAGE, &keys, "EnabledState", state);
    Outcome::OK
}
