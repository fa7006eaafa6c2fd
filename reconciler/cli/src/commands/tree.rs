//! `stratum tree`

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use stratum_core::ids::{Address, CommitId, EnvironmentName};
use stratum_core::ports::{EnvironmentRow, Observations as _, States as _};
use stratum_core::suggest;
use stratum_store::SqliteStore;

use crate::commands::get::{condition, stopped};
use crate::commands::plan::known_environments;
use crate::commands::watch::{self, Answer, WatchArguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::VERSION;
use crate::show::status::look;
use crate::show::tree::{Leaf, tree};
use crate::style::{Role, Theme};

/// Shows what depends on what, and how each is
///
/// A resource stands above what it depends on, so what cannot be done before is at the ends. Each
/// is as it was last applied and observed.
#[derive(Debug, clap::Args)]
pub(crate) struct TreeArguments {
    /// Only this environment, or the tree of this address
    what: Option<String>,

    /// Put what depends on a resource below it instead
    #[arg(long)]
    invert: bool,

    #[command(flatten)]
    watch: WatchArguments,
}

/// `tree --json`.
#[derive(Debug, Serialize)]
struct TreeView {
    version: u32,
    environments: Vec<EnvironmentTree>,
}

#[derive(Debug, Serialize)]
struct EnvironmentTree {
    name: EnvironmentName,
    condition: &'static str,
    revision: Option<CommitId>,
    resources: Vec<NodeView>,
    #[serde(skip)]
    roots: Vec<Address>,
    #[serde(skip)]
    leaves: BTreeMap<Address, Leaf>,
}

#[derive(Debug, Serialize)]
struct NodeView {
    address: Address,
    condition: &'static str,
    because: Option<String>,
    drifted: Vec<String>,
    depends_on: Vec<Address>,
    required_by: Vec<Address>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &TreeArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let store = place.known_state().await?;
        watch::answer(context, arguments.watch, async || {
            let environments = environments(&store, arguments).await?;
            let text = text(context.ui.theme(), &environments);
            let version = VERSION;
            let json = serde_json::to_value(TreeView {
                version,
                environments,
            })?;
            Ok(Answer { json, text })
        })
        .await
    })
}

async fn environments(
    store: &SqliteStore,
    arguments: &TreeArguments,
) -> Result<Vec<EnvironmentTree>, CommandError> {
    let wanted = arguments.what.as_deref();
    let address: Option<Address> = wanted.and_then(|what| what.parse().ok());
    let name = match (&address, wanted) {
        (Some(address), _) => Some(address.environment.clone()),
        (None, Some(what)) => Some(named(what)?),
        (None, None) => None,
    };
    let mut trees = Vec::new();
    for row in known_environments(store, name.as_ref()).await? {
        trees.push(environment(store, &row, address.as_ref(), arguments.invert).await?);
    }
    Ok(trees)
}

fn named(what: &str) -> Result<EnvironmentName, CommandError> {
    EnvironmentName::new(what).map_err(|error| {
        CommandError::given(format!("`{what}` is neither an environment nor an address"))
            .because(&error)
            .hint("`stratum status` lists the environments, `stratum get` the addresses")
    })
}

async fn environment(
    store: &SqliteStore,
    row: &EnvironmentRow,
    from: Option<&Address>,
    invert: bool,
) -> Result<EnvironmentTree, CommandError> {
    let mut nodes = nodes(store, row).await?;
    if let Some(from) = from {
        nodes = reached(nodes, from, invert)?;
    }
    let leaf = |node: &NodeView| Leaf {
        condition: node.condition,
        because: node.because.clone(),
        drifted: node.drifted.len(),
        below: if invert {
            &node.required_by
        } else {
            &node.depends_on
        }
        .clone(),
    };
    let above = |node: &NodeView| {
        if invert {
            &node.depends_on
        } else {
            &node.required_by
        }
        .len()
    };
    let roots = match from {
        Some(from) => vec![from.clone()],
        None => nodes
            .values()
            .filter(|n| above(n) == 0)
            .map(|n| n.address.clone())
            .collect(),
    };
    Ok(EnvironmentTree {
        name: row.name.clone(),
        condition: row.condition.as_str(),
        revision: row.revision.clone(),
        roots,
        leaves: nodes
            .iter()
            .map(|(address, node)| (address.clone(), leaf(node)))
            .collect(),
        resources: nodes.into_values().collect(),
    })
}

/// The resources of an environment, each with what it stands above and below.
async fn nodes(
    store: &SqliteStore,
    row: &EnvironmentRow,
) -> Result<BTreeMap<Address, NodeView>, CommandError> {
    let environment = &row.name;
    let base = store.base(environment).await?;
    let mut nodes = BTreeMap::new();
    let mut edges = Vec::new();
    for (address, state) in base.resources {
        let depends_on = state.depends_on.iter().map(|local| Address {
            environment: environment.clone(),
            local: local.clone(),
        });
        let depends_on: Vec<Address> = depends_on.collect();
        edges.extend(depends_on.iter().map(|to| (address.clone(), to.clone())));
        let node = NodeView {
            condition: condition(&state),
            because: state.unknown.clone(),
            drifted: Vec::new(),
            depends_on,
            required_by: Vec::new(),
            address: address.clone(),
        };
        nodes.insert(address, node);
    }
    for seen in store.observed(environment).await? {
        if let Some(node) = nodes.get_mut(&seen.address) {
            if let Some(why) = stopped(Some(&seen), row) {
                (node.condition, node.because) = ("Stalled", Some(why));
            }
            node.drifted = seen.drifted;
        }
    }
    for (above, below) in edges {
        if let Some(node) = nodes.get_mut(&below) {
            node.required_by.push(above);
        }
    }
    Ok(nodes)
}

/// What can be reached from one address.
fn reached(
    mut nodes: BTreeMap<Address, NodeView>,
    from: &Address,
    invert: bool,
) -> Result<BTreeMap<Address, NodeView>, CommandError> {
    if !nodes.contains_key(from) {
        let names: Vec<String> = nodes.keys().map(ToString::to_string).collect();
        return Err(unknown_address("tree", from, &names));
    }
    let mut seen = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(address) = open.pop() {
        if seen.insert(address.clone())
            && let Some(node) = nodes.get(&address)
        {
            let below = if invert {
                &node.required_by
            } else {
                &node.depends_on
            };
            open.extend(below.iter().cloned());
        }
    }
    nodes.retain(|address, _| seen.contains(address));
    Ok(nodes)
}

/// The failure that names an address that is not there.
pub(crate) fn unknown_address(verb: &str, address: &Address, names: &[String]) -> CommandError {
    let near = suggest::suggest(&address.to_string(), names.iter().map(String::as_str));
    let hint = match near {
        Some(name) => format!("did you mean `stratum {verb} {name}`?"),
        None => "`stratum get` lists the resources there are".to_owned(),
    };
    CommandError::given(format!("there is no resource `{address}` in the state")).hint(hint)
}

fn text(theme: &Theme, environments: &[EnvironmentTree]) -> String {
    let mut text = String::new();
    for environment in environments {
        if !text.is_empty() {
            text.push('\n');
        }
        let (mark, role) = look(environment.condition);
        let name = theme.paint(Role::Strong, &environment.name);
        let condition = theme.paint(role, environment.condition);
        let revision = environment.revision.as_ref().map_or("-", CommitId::short);
        let mark = theme.marked(mark, role);
        text.push_str(&format!("{mark} {name}  {condition}  {revision}\n"));
        text.push_str(&tree(theme, &environment.roots, &environment.leaves));
    }
    match text.is_empty() {
        true => "no environments yet\n".to_owned(),
        false => text,
    }
}
