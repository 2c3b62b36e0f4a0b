//! Generates Rust and a descriptor set from the project's .proto files. Needs no `protoc`: `protox` parses.
//! Invariant: the same .proto files give the same bytes, so `--check` can compare with what is committed.
//! Not here: services; method paths are constants beside the generated messages.
//! Start at `SCHEMAS`: a new set of .proto files is a new row.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use prost_build::{Config, Module};
use protox::Compiler;

/// Directory that `import` statements are relative to.
const INCLUDE: &str = "crates/merak-wire/proto";

/// One set of .proto files, all of one package.
struct Schema {
    /// Directory of the files, below `INCLUDE`.
    directory: &'static str,
    /// Their package; it also names the generated file.
    package: &'static str,
    /// Where the generated files go.
    output: &'static str,
    /// Fields kept behind a pointer, so that the message that has them stays small on the stack.
    boxed: &'static [&'static str],
}

const SCHEMAS: &[Schema] = &[Schema {
    directory: "polaris",
    package: "v1",
    output: "crates/merak-wire/src/polaris",
    boxed: &POLARIS_BOXED,
}];

/// A `Response` holds at most one of these, yet all inline they are 8 KB, copied with every answer and every
/// future. Its `instance` stays inline: that is the answer of the calls that come often.
const POLARIS_BOXED: [&str; 21] = [
    ".v1.Response.client",
    ".v1.Response.namespace",
    ".v1.Response.service",
    ".v1.Response.routing",
    ".v1.Response.alias",
    ".v1.Response.rateLimit",
    ".v1.Response.circuitBreaker",
    ".v1.Response.configRelease",
    ".v1.Response.user",
    ".v1.Response.userGroup",
    ".v1.Response.authStrategy",
    ".v1.Response.relation",
    ".v1.Response.loginResponse",
    ".v1.Response.modifyAuthStrategy",
    ".v1.Response.modifyUserGroup",
    ".v1.Response.resources",
    ".v1.Response.instanceLabels",
    ".v1.Response.serviceContract",
    ".v1.DiscoverResponse.routing",
    ".v1.DiscoverResponse.circuitBreaker",
    ".v1.DiscoverResponse.aliasFor",
];

/// A generated file: its path in the workspace and its content.
struct Generated {
    path: PathBuf,
    content: Vec<u8>,
}

/// `codegen` writes every generated file; `codegen --check` fails when one is not what it would write.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("codegen takes nothing but --check"),
    };
    let mut stale = Vec::new();
    for schema in SCHEMAS {
        for file in generate(root, schema)? {
            let path = root.join(&file.path);
            if !check {
                fs::write(&path, &file.content)
                    .with_context(|| format!("failed to write {}", path.display()))?;
            } else if !is_current(&path, &file.content)? {
                stale.push(file.path.display().to_string());
            }
        }
    }
    ensure!(stale.is_empty(), "not current: {}; run `cargo xtask codegen`", stale.join(", "));
    Ok(())
}

/// Whether `path` holds exactly `content`. A file that does not exist is not current.
fn is_current(path: &Path, content: &[u8]) -> Result<bool> {
    match fs::read(path) {
        Ok(found) => Ok(found == content),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn generate(root: &Path, schema: &Schema) -> Result<Vec<Generated>> {
    let files = proto_files(&root.join(INCLUDE), schema.directory)?;
    let rust = Generated {
        path: Path::new(schema.output).join(format!("{}.rs", schema.package)),
        content: rust_code(&compile(root, &files, true)?, schema)?.into_bytes(),
    };
    let descriptor = Generated {
        path: Path::new(schema.output).join("descriptor.bin"),
        content: compile(root, &files, false)?.encode_file_descriptor_set(),
    };
    Ok(vec![rust, descriptor])
}

/// The .proto files of a directory, relative to `include`, sorted so that the output does not depend on the disk.
fn proto_files(include: &Path, directory: &str) -> Result<Vec<String>> {
    let path = include.join(directory);
    let mut files = Vec::new();
    for entry in fs::read_dir(&path).with_context(|| format!("failed to list {}", path.display()))? {
        let name = entry?.file_name().into_string().ok().context("a file name is not UTF-8")?;
        if name.ends_with(".proto") {
            files.push(format!("{directory}/{name}"));
        }
    }
    files.sort();
    Ok(files)
}

/// Source info carries the comments: wanted in the Rust code, useless weight in a descriptor set.
fn compile(root: &Path, files: &[String], source_info: bool) -> Result<Compiler> {
    let mut compiler = Compiler::new([root.join(INCLUDE)])?;
    compiler.include_imports(true).include_source_info(source_info).open_files(files)?;
    Ok(compiler)
}

fn rust_code(compiler: &Compiler, schema: &Schema) -> Result<String> {
    let mut config = Config::new();
    // Maps are ordered, so that equal messages have equal bytes.
    config.btree_map(["."]).enable_type_names().type_name_domain(["."], "type.googleapis.com");
    for field in schema.boxed {
        config.boxed(field);
    }
    let module = Module::from_protobuf_package_name(schema.package);
    let requests = compiler
        .file_descriptor_set()
        .file
        .into_iter()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    config.generate(requests)?.remove(&module).context("the package has no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask is in crates/")
    }

    /// Clients and servers of the project are built from what is committed, not from the .proto files.
    #[test]
    fn committed_code_is_current() {
        run(root(), &["--check".to_owned()]).expect("`cargo xtask codegen` has been run");
    }

    /// `--check` compares with `is_current`; one that always agrees would check nothing.
    #[test]
    fn another_or_no_file_is_not_current() {
        let own = root().join("crates/xtask/src/codegen.rs");
        let content = fs::read(&own).expect("this file can be read");
        assert!(is_current(&own, &content).expect("it can be compared"));
        assert!(!is_current(&own, b"something else").expect("it can be compared"));
        assert!(!is_current(&root().join("no-such-file"), &content).expect("it can be compared"));
    }

    /// A misspelt field in `boxed` is ignored by the generator, and its message grows.
    #[test]
    fn boxed_fields_are_boxed() {
        for schema in SCHEMAS {
            let files = proto_files(&root().join(INCLUDE), schema.directory).expect("the files are listed");
            let compiler = compile(root(), &files, false).expect("the files compile");
            let code = rust_code(&compiler, schema).expect("code is generated");
            assert_eq!(code.matches("::prost::alloc::boxed::Box<").count(), schema.boxed.len());
        }
    }
}
