//! Fronts of branches, and the environments that follow them.

use stratum_core::condition::Condition;
use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{Advance, EnvironmentRow, Store};

use super::{Broken, Kept, done, environment, lease, same};
use crate::store::sample;

fn commit(digit: &str) -> Result<CommitId, Broken> {
    done("a sample is well formed", CommitId::new(digit.repeat(40)))
}

fn branch() -> Result<BranchName, Broken> {
    done("a sample is well formed", BranchName::new("main"))
}

/// Writes that an environment is settled at a commit and follows the front of `main`.
async fn settle(store: &dyn Store, name: &EnvironmentName, at: &CommitId) -> Kept {
    let lease = lease(store, name).await?;
    let row = EnvironmentRow {
        name: name.clone(),
        condition: Condition::Ready,
        reason: String::new(),
        revision: Some(at.clone()),
        desired_revision: Some(at.clone()),
        inputs: None,
        closure: Default::default(),
        hold: None,
        sealed: None,
        pin: None,
        remembered: Default::default(),
        root: None,
        follows: Some(branch()?),
        last_run: None,
        observed_at: None,
        changed_at: sample::at(0),
    };
    done(
        "a row can be written",
        store.put_environment(&lease, &row).await,
    )?;
    done("a lease can be given back", store.release(&[lease]).await)
}

async fn stands(
    store: &dyn Store,
    name: &EnvironmentName,
) -> Result<(Option<CommitId>, bool), Broken> {
    let row = done("a row can be read", store.environment(name).await)?;
    let all = done("rows can be read", store.environments().await)?;
    let listed = all.into_iter().find(|row| row.name == *name);
    same("a row is the same alone and among all", &row, &listed)?;
    Ok(row.map_or((None, false), |row| (row.revision, row.follows.is_some())))
}

fn step(from: Option<&CommitId>, to: &CommitId, followers: usize) -> Result<Advance, Broken> {
    Ok(Advance {
        branch: branch()?,
        from: from.cloned(),
        to: to.clone(),
        followers,
        touched: Vec::new(),
    })
}

/// Whoever follows goes with the front; who is touched stays, and says where.
pub(super) async fn carry_who_follows(store: &dyn Store) -> Kept {
    let (one, two, three) = (commit("1")?, commit("2")?, commit("3")?);
    let (a, b) = (environment("a")?, environment("b")?);
    let begun = store.advance(&step(None, &one, 0)?).await;
    same(
        "a front can be begun",
        done("a front can be moved", begun)?,
        true,
    )?;
    settle(store, &a, &one).await?;
    settle(store, &b, &one).await?;
    let mut next = step(Some(&one), &two, 2)?;
    next.touched = vec![b.clone()];
    let moved = done("a front can be moved", store.advance(&next).await)?;
    same("a front that stands there is moved", moved, true)?;
    let at = |commit: &CommitId, follows| (Some(commit.clone()), follows);
    same(
        "who follows goes along",
        stands(store, &a).await?,
        at(&two, true),
    )?;
    same(
        "who is touched stays",
        stands(store, &b).await?,
        at(&one, false),
    )?;
    // Written again at the place that the front left: it must not go along unseen.
    settle(store, &b, &one).await?;
    let found = stands(store, &b).await?;
    same(
        "nobody follows a front that is elsewhere",
        found,
        at(&one, false),
    )?;
    settle(store, &b, &two).await?;
    let moved = store.advance(&step(Some(&two), &three, 2)?).await;
    same(
        "a front is moved again",
        done("a front can be moved", moved)?,
        true,
    )?;
    same(
        "who settled there goes along",
        stands(store, &b).await?,
        at(&three, true),
    )?;
    let fronts = done("fronts can be read", store.fronts().await)?;
    same(
        "the front stands where it was moved",
        fronts,
        vec![(branch()?, three)],
    )
}

/// A front that moved meanwhile, or that others follow, is not moved.
pub(super) async fn refuse_what_is_not_known(store: &dyn Store) -> Kept {
    let (one, two) = (commit("1")?, commit("2")?);
    let a = environment("a")?;
    let refused = async |advance: Advance| {
        let moved = done("a front can be asked for", store.advance(&advance).await)?;
        same("what is not as it is known is not moved", moved, false)
    };
    refused(step(Some(&one), &two, 0)?).await?;
    let begun = store.advance(&step(None, &one, 0)?).await;
    same(
        "a front can be begun",
        done("a front can be moved", begun)?,
        true,
    )?;
    refused(step(None, &two, 0)?).await?;
    settle(store, &a, &one).await?;
    refused(step(Some(&one), &two, 0)?).await?;
    refused(step(Some(&two), &one, 1)?).await?;
    same("nothing moved", stands(store, &a).await?, (Some(one), true))
}
