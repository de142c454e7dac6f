//! Which namespaces exist.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use minutehand_api::NamespaceCreation;
use minutehand_model::Namespace;

/// Most namespaces remembered for the listing; more can be used.
const REMEMBERED_MAX: usize = 1_000;

/// How namespaces come to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespacePolicy {
    /// By their first use. The listing shows `default` and those used since the process started.
    #[default]
    OnFirstUse,
    /// Only these exist (and `default`); others are not found.
    Listed(BTreeSet<Namespace>),
}

/// The namespaces known here.
pub(crate) struct Namespaces {
    policy: NamespacePolicy,
    used: RwLock<BTreeSet<Namespace>>,
}

impl Namespaces {
    pub(crate) fn new(policy: NamespacePolicy) -> Namespaces {
        let default = Namespace::parse(Namespace::DEFAULT).expect("the default name is a name");
        let mut known = match &policy {
            NamespacePolicy::OnFirstUse => BTreeSet::new(),
            NamespacePolicy::Listed(listed) => listed.clone(),
        };
        known.insert(default);
        Namespaces {
            policy,
            used: RwLock::new(known),
        }
    }

    /// The word for the policy.
    pub(crate) fn created(&self) -> NamespaceCreation {
        match self.policy {
            NamespacePolicy::OnFirstUse => NamespaceCreation::OnFirstUse,
            NamespacePolicy::Listed(_) => NamespaceCreation::Listed,
        }
    }

    /// Whether a namespace may be used.
    pub(crate) fn exists(&self, namespace: &Namespace) -> bool {
        match &self.policy {
            NamespacePolicy::OnFirstUse => true,
            NamespacePolicy::Listed(listed) => {
                listed.contains(namespace) || namespace.as_str() == Namespace::DEFAULT
            }
        }
    }

    /// Takes note of a namespace; whether it was known before.
    pub(crate) fn remember(&self, namespace: &Namespace) -> bool {
        if self
            .used
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(namespace)
        {
            return true;
        }
        let mut used = self.used.write().unwrap_or_else(PoisonError::into_inner);
        if used.len() < REMEMBERED_MAX {
            used.insert(namespace.clone());
        }
        false
    }

    /// The known namespaces in order.
    pub(crate) fn known(&self) -> Vec<Namespace> {
        self.used
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}
