//! What there is of a type, whoever made it.

use std::time::Duration;

use stratum_core::ids::{Address, TypeName};
use stratum_core::ports::{Clock, ListCall, Listed, ProviderError, Site, contract};
use stratum_core::resource::Instance;

use crate::ports::Providers;

/// The time that a provider has for its answer.
const TIME: Duration = Duration::from_secs(60);

/// Asks the provider of a type what there is; `known` is what the state has of it.
///
/// *Guarantees*: changes nothing. *Errors*: also where the answer breaks the contract of the port.
pub async fn discover(
    providers: &Providers,
    clock: &dyn Clock,
    r#type: &TypeName,
    site: &Site,
    known: &[(Address, Instance)],
    most: usize,
) -> Result<Listed, ProviderError> {
    let Some(provider) = providers.of_type(r#type) else {
        return Err(ProviderError::input(format!("there is no type `{type}`")));
    };
    let call = ListCall {
        r#type,
        site,
        timeout: TIME,
        known,
        most,
    };
    let listed = tokio::select! {
        biased;
        listed = provider.list(call) => listed?,
        () = clock.sleep(TIME) => {
            return Err(ProviderError::later("no answer within a minute"));
        }
    };
    match contract::listed(&listed, known, most) {
        Ok(()) => Ok(listed),
        Err(breach) => Err(ProviderError::person(breach.to_string())),
    }
}
