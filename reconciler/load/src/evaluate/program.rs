//! Runs Nickel on the blobs of one request. Runs in the child only.

use std::io;
use std::path::PathBuf;

use nickel_lang_core::cache::{CacheHub, InputFormat, SourcePath};
use nickel_lang_core::error::{Error, NullReporter};
use nickel_lang_core::eval::cache::CacheImpl;
use nickel_lang_core::eval::value::NickelValue;
use nickel_lang_core::eval::{VirtualMachine, VmContext};
use nickel_lang_core::files::FileId;
use nickel_lang_core::label::Label;
use nickel_lang_core::position::PosIdx;
use nickel_lang_core::term::RuntimeContract;

use super::balance::balance_file;
use super::flat::flatten;
use super::protocol::{Answer, Blob, Format, Request};
use super::report::report;
use super::spots::Spots;
use super::walk::Walk;

/// The state that serves many requests: above all the standard library, which takes 7 ms to read.
pub(crate) struct Machine {
    context: VmContext<CacheHub, CacheImpl>,
}

impl Machine {
    /// Reads the standard library.
    pub(crate) fn new() -> io::Result<Self> {
        let mut context = VmContext::new(CacheHub::new(), io::sink(), NullReporter {});
        context
            .import_resolver
            .prepare_stdlib(&mut context.pos_table)
            .map_err(|error| io::Error::other(format!("the standard library: {error:?}")))?;
        Ok(Self { context })
    }

    /// Evaluates the main file of `request`.
    ///
    /// Files of earlier requests are never found: every request has a root of its own.
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        let mut spots = Spots::default();
        let mut main = None;
        for blob in &request.blobs {
            let id = self.register(request, blob);
            if blob.path == request.main && blob.format == Format::Nickel {
                main = Some(id);
            }
            spots.add(id, blob);
        }
        let Some(main) = main else {
            return Answer::default();
        };
        let (value, findings, size) = self.evaluate(request, main, &mut spots);
        Answer {
            value,
            files: spots.into_files(),
            findings,
            size,
        }
    }

    fn register(&mut self, request: &Request, blob: &Blob) -> FileId {
        let format = match blob.format {
            Format::Nickel => InputFormat::Nickel,
            Format::Json => InputFormat::Json,
            Format::Yaml => InputFormat::Yaml,
            Format::Toml => InputFormat::Toml,
            Format::Text => InputFormat::Text,
        };
        self.add(request, &blob.path, format, blob.text.clone())
    }

    fn add(&mut self, request: &Request, path: &str, format: InputFormat, text: String) -> FileId {
        let path = PathBuf::from(&request.root).join(path);
        self.context
            .import_resolver
            .sources
            .add_string(SourcePath::Path(path, format), text)
    }

    fn evaluate(
        &mut self,
        request: &Request,
        main: FileId,
        spots: &mut Spots,
    ) -> (
        Vec<super::flat::Item>,
        Vec<stratum_core::finding::Finding>,
        u64,
    ) {
        if request.balance {
            let context = &mut self.context;
            balance_file(&mut context.import_resolver, &mut context.pos_table, main);
        }
        let prepared = self
            .context
            .prepare_eval(main)
            .and_then(|value| self.with_contract(request, value));
        let value = match prepared {
            Ok(value) => value,
            Err(error) => {
                let mut files = self.context.import_resolver.sources.files().clone();
                return (Vec::new(), report(error, &mut files, spots, request), 0);
            }
        };
        let mut walk = Walk::new(&mut self.context, spots, request);
        let node = walk.value(value);
        let (findings, size) = walk.findings();
        let mut items = Vec::new();
        flatten(node, None, &mut items);
        (items, findings, size)
    }

    fn with_contract(
        &mut self,
        request: &Request,
        value: NickelValue,
    ) -> Result<NickelValue, Error> {
        let Some(text) = &request.contract else {
            return Ok(value);
        };
        // What is no record is left to the check in Rust, whose message says more.
        let standard = self
            .context
            .import_resolver
            .mk_eval_env(&mut self.context.cache);
        let first = VirtualMachine::new_empty_env(&mut self.context)
            .with_initial_env(standard)
            .eval(value.clone())?;
        if first.as_record().is_none() {
            return Ok(value);
        }
        let id = self.add(
            request,
            ".stratum/contract.ncl",
            InputFormat::Nickel,
            text.clone(),
        );
        let contract = self.context.prepare_eval_only(id)?;
        let contract = RuntimeContract::new(contract, Label::default());
        Ok(RuntimeContract::apply_all(value, [contract], PosIdx::NONE))
    }
}
