//! Subscriptions and filters: data alone, nobody can subscribe yet.

use crate::wsman::call::Method;
use crate::wsman::provider::{Live, Provider};

pub(crate) const METHODS: &[Method] = &[];
pub(crate) const PROVIDERS: &[Provider] = &[];
pub(crate) const LIVE: &[Live] = &[];
