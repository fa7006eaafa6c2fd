//! Calls to providers, each with a limit of time.

use std::future::Future;
use std::time::Duration;

use stratum_core::duration;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{ApplyError, Call, Clock, Notes, ProviderError, Secrets, Site, Stopping};
use stratum_core::value::Record;

use crate::granted::Granted;
use crate::stop::Stop;
use crate::turns::Turns;

/// What all calls of one pass share.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) site: &'a Site,
    pub(crate) timeout: Duration,
    pub(crate) secrets: &'a dyn Secrets,
    /// Told to the provider, so that a long call may come to an early end.
    pub(crate) stop: Option<&'a Stop>,
    /// Each call waits for its turn among those of all environments.
    pub(crate) turns: Option<(&'a Turns, &'a EnvironmentName)>,
    /// Takes what providers mind and go on with.
    pub(crate) notes: Option<&'a Notes>,
}

impl<'a> Calls<'a> {
    /// The common arguments of a call about `address`, in which these secrets may be opened.
    pub(crate) fn call<'c>(&self, address: &'c Address, granted: &'c Granted<'_>) -> Call<'c>
    where
        'a: 'c,
    {
        Call {
            address,
            site: self.site,
            timeout: self.timeout,
            secrets: granted,
            stop: self.stop.map(|stop| stop as &dyn Stopping),
            notes: self.notes,
        }
    }

    /// The same calls with another time.
    #[must_use]
    pub(crate) fn within_time(self, timeout: Option<Duration>) -> Self {
        Self {
            timeout: timeout.unwrap_or(self.timeout),
            ..self
        }
    }

    /// Grants the secrets that these records name.
    pub(crate) fn grant<'c>(&self, records: impl IntoIterator<Item = &'c Record>) -> Granted<'c>
    where
        'a: 'c,
    {
        Granted::to(self.secrets, records)
    }

    /// A call that changes nothing.
    pub(crate) async fn asking<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        match self.within(call).await {
            Some(answer) => answer,
            None => Err(ProviderError::later(self.late())),
        }
    }

    /// A call that changes the world: when it is late, nobody knows what became of it.
    pub(crate) async fn changing<T>(
        &self,
        call: impl Future<Output = Result<T, ApplyError>>,
    ) -> Result<T, ApplyError> {
        match self.within(call).await {
            Some(answer) => answer,
            None => Err(ApplyError::unknown(self.late())),
        }
    }

    /// The time of a call begins when its turn comes.
    async fn within<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let _turn = match self.turns {
            Some((turns, environment)) => Some(turns.turn(environment).await),
            None => None,
        };
        tokio::select! {
            biased;
            answer = call => Some(answer),
            () = self.clock.sleep(self.timeout) => None,
        }
    }

    fn late(&self) -> String {
        format!("no answer within {}", duration::format(self.timeout))
    }
}
