//! Where the local resources of a revision lie, and whether they may.

use std::path::Path;
use std::sync::Arc;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{EnvironmentRow, Site, States};
use stratum_core::settings::{EnvironmentSettings, Settings};

use crate::admit::{Remembered, admit, names_places, place_of};
use crate::error::RuntimeError;
use crate::head::{Target, own_settings};
use crate::ports::Ports;
use crate::site::{Roots, site_of, wanted};

/// Finds places for environments.
pub(crate) struct Places {
    states: Arc<dyn States>,
    roots: Roots,
}

impl Places {
    pub(crate) fn new(ports: &Ports, roots: &Roots) -> Self {
        Self {
            states: ports.store.clone(),
            roots: roots.clone(),
        }
    }

    /// Where local resources lie; a root that would move away from resources is refused.
    pub(crate) async fn site(
        &self,
        target: &Target,
        brought: &Settings,
        row: &EnvironmentRow,
    ) -> Result<Result<Site, String>, RuntimeError> {
        let (roots, environment) = (&self.roots, &target.environment);
        // Where it would lie is checked with what the Revision says; where it lies is as admitted.
        let (own, held) = (own_settings(brought, environment), target.own());
        let fresh = self.fresh(environment, &own, row);
        let remembered = match names_places(&own) || names_places(&held) {
            true => self.remembered(brought).await?,
            false => Remembered::new(),
        };
        if let Err(reason) = admit(roots, environment, brought, &remembered, &fresh) {
            return Ok(Err(reason));
        }
        let moves = moves(row, &fresh);
        if moves && self.holds(environment).await? {
            return Ok(Err(left_behind(row, &fresh)));
        }
        // An empty environment moves, once what was admitted says so too.
        let kept = row.root.as_deref();
        let kept = kept.filter(|_| !moves || held.root != own.root);
        let site = site_of(roots, environment, &held, kept);
        let admitted = admit(roots, environment, &target.settings, &remembered, &site);
        Ok(admitted.map(|()| site))
    }

    /// Where it would lie if it lay nowhere yet.
    fn fresh(
        &self,
        environment: &EnvironmentName,
        own: &EnvironmentSettings,
        row: &EnvironmentRow,
    ) -> Site {
        let roots = &self.roots;
        match (&roots.trial, &own.root) {
            (Some(_), _) | (None, None) => site_of(roots, environment, own, row.root.as_deref()),
            (None, Some(_)) => Site {
                root: wanted(&roots.state_folder, environment, own),
                ..site_of(roots, environment, own, None)
            },
        }
    }

    /// Whether anything was made in an environment and is still there.
    async fn holds(&self, environment: &EnvironmentName) -> Result<bool, RuntimeError> {
        Ok(!self.states.base(environment).await?.resources.is_empty())
    }

    /// The roots of the environments that are named, and of those that still hold something.
    async fn remembered(&self, settings: &Settings) -> Result<Remembered, RuntimeError> {
        let mut remembered = Remembered::new();
        for row in self.states.environments().await? {
            let Some(root) = row.root else { continue };
            let named = settings.environments.contains_key(&row.name);
            if named || self.holds(&row.name).await? {
                remembered.insert(row.name, root.into());
            }
        }
        Ok(remembered)
    }
}

/// Whether it would lie elsewhere than before. Another spelling of the same place moves nothing.
fn moves(row: &EnvironmentRow, fresh: &Site) -> bool {
    let old = row.root.as_deref().map(Path::new);
    old.is_some_and(|old| old != fresh.root.as_path() && place_of(old) != place_of(&fresh.root))
}

fn left_behind(row: &EnvironmentRow, fresh: &Site) -> String {
    format!(
        "its root would move from `{}` to `{}`, away from what was made there; set the root back, \
         or take the resources away first",
        row.root.as_deref().unwrap_or_default(),
        fresh.root.display()
    )
}
