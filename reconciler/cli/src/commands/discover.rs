//! `stratum discover`

use serde::Serialize;
use stratum_assembly::adapters;
use stratum_assembly::clock::SystemClock;
use stratum_core::ids::{Address, EnvironmentName, TypeName};
use stratum_core::ports::{EnvironmentRow, Listed, Retry, Site, States as _};
use stratum_core::resource::Instance;
use stratum_runtime::{Roots, discover, site_of};

use crate::commands::plan::known_environments;
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::VERSION;
use crate::show::table::Table;
use crate::style::harmless;

/// Lists what there is of a type in an environment, whether stratum made it or not
///
/// What is nobody's can be taken over: write a resource for it, with its id as `meta.adopt`.
#[derive(Debug, clap::Args)]
pub(crate) struct DiscoverArguments {
    /// The type, such as local_file
    #[arg(value_name = "TYPE")]
    r#type: TypeName,

    /// In this environment
    #[arg(long, value_name = "NAME")]
    env: EnvironmentName,

    /// What is nobody's only
    #[arg(long)]
    unknown: bool,

    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    most: usize,
}

#[derive(Debug, Serialize)]
struct View<'a> {
    version: u32,
    environment: &'a EnvironmentName,
    r#type: &'a TypeName,
    there: Vec<Item<'a>>,
    /// There is more than was asked for.
    more: bool,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    id: &'a str,
    address: Option<&'a Address>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &DiscoverArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    let (r#type, name) = (&arguments.r#type, &arguments.env);
    let listed = context.block_on(async {
        let store = place.known_state().await?;
        let mut rows = known_environments(&store, Some(name)).await?;
        let base = store.base(name).await?;
        let of_type = base
            .resources
            .into_iter()
            .filter(|(address, _)| address.r#type() == r#type);
        let known: Vec<(Address, Instance)> = of_type
            .map(|(address, state)| (address, state.instance))
            .collect();
        let site = site(&place, name, rows.pop().as_ref());
        let (providers, clock) = (adapters::providers()?, SystemClock::new());
        let listed = discover(&providers, &clock, r#type, &site, &known, arguments.most).await;
        listed.map_err(|error| match error.retry {
            Retry::WhenInputChanges => CommandError::given(error.message),
            Retry::Later(_) | Retry::NeedsPerson => CommandError::machine(error.message),
        })
    })?;
    let shown = listed
        .there
        .iter()
        .filter(|one| !arguments.unknown || one.known.is_none());
    let there: Vec<Item<'_>> = shown
        .map(|one| Item {
            id: &one.id,
            address: one.known.as_ref(),
        })
        .collect();
    if context.global.json {
        let more = listed.more;
        let view = View {
            version: VERSION,
            environment: name,
            r#type,
            there,
            more,
        };
        context.ui.answer_json(&serde_json::to_value(view)?)?;
    } else {
        context.ui.answer(&text(context, &there, &listed));
    }
    Ok(Exit::Done)
}

/// Where the environment lies, as the state remembers it.
fn site(place: &Place, name: &EnvironmentName, row: Option<&EnvironmentRow>) -> Site {
    let roots = Roots {
        state_folder: place.state_folder().to_owned(),
        own: place.own_folder(),
        trial: None,
        named: Vec::new(),
        hidden: Vec::new(),
        file: place.roots_file(),
    };
    let root = row.and_then(|row| row.root.as_deref());
    site_of(&roots, name, &Default::default(), root)
}

fn text(context: &Context, there: &[Item<'_>], listed: &Listed) -> String {
    let mut table = Table::new(&["ID", "RESOURCE"]);
    for one in there {
        let address = one
            .address
            .map_or("nobody's".to_owned(), Address::to_string);
        table.row(vec![harmless(one.id).into(), address.into()]);
    }
    let mut text = match there.is_empty() {
        true => "there is nothing of it\n".to_owned(),
        false => table.render(context.ui.theme()),
    };
    if listed.more {
        text.push_str("\nthere is more: ask for more with --most\n");
    }
    if there.iter().any(|one| one.address.is_none()) {
        text.push_str("\nto take one over: write a resource for it with `meta.adopt = \"ID\"`\n");
    }
    text
}
