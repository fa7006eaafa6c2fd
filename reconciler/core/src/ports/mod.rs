//! The ports: everything the engine needs from outside, as traits, one file each.
//!
//! Adapters implement them in the crates beside this one; `assembly` builds them;
//! the testkit has in-memory twins.

mod audit;
mod clock;
mod confined;
pub mod contract;
mod facts;
mod forge;
mod fronts;
mod gate;
mod generated;
mod loader;
mod probe;
mod provider;
mod repository;
mod retry;
mod sealing;
mod signatures;
mod store;
mod tree;

pub use audit::{
    Audit, AuditError, NoteAlgorithm, NoteError, NoteKeys, NoteSignatures, NoteSigner,
};
pub use clock::{Clock, Randomness};
pub use confined::{Confined, ConfinedError};
pub use facts::{FactChange, Facts};
pub use forge::{
    Announcements, CommentPlace, CommitState, CommitStatus, Forge, ForgeError, ForgeTrouble, Pull,
    PullNumber, Wording, Written,
};
pub use fronts::{Advance, FRONT, Fronts};
pub use gate::{Act, Gate, GateError, PlanRequest, Principal, Question, ballot};
pub use generated::{
    MadeSecret, NoProposals, ProposalError, ProposalRequest, Proposer, SecretName, WantedSecret,
    generated_path,
};
pub use loader::{EvaluationCache, LoadError, Loaded, Loader};
pub use probe::{Probe, ProbeError};
pub use provider::{
    ApplyCall, ApplyError, AttributeSchema, Call, Capabilities, Certainty, CheckpointCall,
    Complaint, ConfigureCall, Diagnostic, Effect, FetchCall, Found, ImportCall, Isolation,
    ListCall, Listed, LocateCall, Located, Misfit, Notes, PlanCall, Proposal, Provider,
    ProviderError, ProviderSchema, ReadCall, Reading, RenewCall, RestoreCall, Severity, Site,
    Stopping, TypeSchema, UpgradeCall, ValueType,
};
pub use repository::{Changed, CommitSigner, Publication, Repository, RepositoryError, Tips, Wake};
pub use retry::Retry;
pub use sealing::{
    AtRest, KeptSecret, KeyRow, Marker, NoSecrets, SealCheck, SealReport, SealRequest,
    SealedSecret, SecretError, SecretKey, SecretStore, Secrets, Standing, reveal,
};
pub use signatures::Signatures;
pub use store::{
    Base, Break, ClockReading, Dropped, Entry, EnvironmentRow, HeldLease, Journals, Keep, Lease,
    LeaseError, Leases, Life, Observation, Observations, OpenRun, PartSize, QueueEntry, Retention,
    RunOutcome, StateChange, States, Store, StoreError, Unfinished, Work, who,
};
pub use tree::{Tree, TreeEntry, TreeError, TreeKind};
