//! The port of observations.

use async_trait::async_trait;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{Lease, Observation, Observations, StoreError};

use crate::read;
use crate::store::{SqliteStore, look};
use crate::write::Write;
use crate::write::observation::Observe;

#[async_trait]
impl Observations for SqliteStore {
    async fn observe(&self, lease: &Lease, seen: &[Observation]) -> Result<(), StoreError> {
        let key = self.rest.key();
        let mut observe = self.ready(
            Observe::new(lease, seen, &self.rest),
            "keeping observations",
        )?;
        observe.under = self.under(key);
        self.write(Write::Observe(observe)).await?;
        Ok(())
    }

    async fn observed(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<Observation>, StoreError> {
        look!(
            self.reader,
            "reading the observations",
            read::observation::observed,
            environment,
            &self.rest
        )
    }

    async fn drifted(&self, environment: &EnvironmentName) -> Result<Vec<Observation>, StoreError> {
        look!(
            self.reader,
            "reading the observations",
            read::observation::drifted,
            environment,
            &self.rest
        )
    }

    async fn observations(
        &self,
        address: &Address,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        look!(
            self.reader,
            "reading the observations",
            read::observation::observations,
            address,
            limit,
            &self.rest
        )
    }
}
