//! The port of environments and their resources.

use async_trait::async_trait;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Base, EnvironmentRow, Lease, States, StoreError};

use crate::read;
use crate::store::{SqliteStore, look};
use crate::write::{Write, environment};

#[async_trait]
impl States for SqliteStore {
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        look!(
            self.reader,
            "reading the environments",
            read::environment::environments
        )
    }

    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError> {
        look!(
            self.reader,
            "reading an environment",
            read::environment::environment,
            environment
        )
    }

    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        let put = self.ready(
            environment::Put::new(lease, row),
            "writing what is remembered of an environment",
        )?;
        self.write(Write::Environment(put)).await?;
        Ok(())
    }

    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError> {
        look!(
            self.reader,
            "reading the resources",
            read::environment::base,
            environment,
            &self.rest
        )
    }
}
