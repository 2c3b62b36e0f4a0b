//! What the messages look like: fields in the order in which they are written, their names, their kinds.
//!
//! Invariant: every field of every message of ours has a kind here; the table is built once, from the descriptors
//! that the messages themselves were generated from.
//! Not here: which fields only newer clients know ([`super::newer`]).

use super::newer::is_newer;
use crate::polaris::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::HashMap;
use std::sync::LazyLock;

/// All messages and enums.
pub(super) struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, MessageId>,
}

/// Which message of a [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageId(usize);

/// Which enum of a [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnumId(usize);

/// One message.
pub(super) struct Message {
    /// How it stands in JSON.
    pub(super) shape: Shape,
    /// Its fields, in the order in which they are declared.
    pub(super) fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    by_number: HashMap<u32, usize>,
}

/// How a message stands in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object.
    Object,
    /// The value in its first field, as it is.
    Wrapper,
    /// A text: `1.5s`.
    Duration,
    /// The object of another message, with its type beside its fields.
    Any,
}

/// One field.
pub(super) struct Field {
    /// Its number on the wire.
    pub(super) number: u32,
    /// Its name in JSON, with what stands around it: `"name": `.
    pub(super) head: String,
    /// What it holds.
    pub(super) kind: Kind,
    /// How often it may stand there.
    pub(super) many: Many,
    /// Whether it is left out where it is not set.
    pub(super) only_if_set: bool,
}

/// What a field holds, or one element of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

/// How often a field may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    /// Entries are messages of a key and a value.
    Map,
}

/// The names of an enum's numbers.
pub(super) struct Enum {
    rows: Vec<(String, i32)>,
}

impl Schema {
    /// The messages of Polaris.
    pub(super) fn get() -> &'static Schema {
        static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
            let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET);
            Schema::build(&set.expect("our own descriptors can be read"))
        });
        &SCHEMA
    }

    /// The message of a full name: `v1.Service`.
    pub(super) fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    pub(super) fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0]
    }

    fn build(set: &FileDescriptorSet) -> Schema {
        let mut declared = Declared::default();
        for file in &set.file {
            let package = file.package();
            file.message_type.iter().for_each(|message| declared.add_message(package, message));
            file.enum_type.iter().for_each(|names| declared.add_enum(package, names));
        }
        let ids = |names: Vec<&String>| -> HashMap<String, usize> {
            names.into_iter().enumerate().map(|(id, name)| (name.clone(), id)).collect()
        };
        let messages = ids(declared.messages.iter().map(|(name, _)| name).collect());
        let enums = ids(declared.enums.iter().map(|(name, _)| name).collect());
        let known = Known { declared: &declared, messages: &messages, enums: &enums };
        Schema {
            messages: declared.messages.iter().map(|(name, message)| known.message(name, message)).collect(),
            enums: declared.enums.iter().map(|(_, names)| enumeration(names)).collect(),
            by_name: messages.iter().map(|(name, &id)| (name.clone(), MessageId(id))).collect(),
        }
    }
}

impl Message {
    /// The field of a name, as it is declared or as it stands in JSON.
    pub(super) fn named(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|&at| &self.fields[at])
    }

    /// Where the field of a number is.
    pub(super) fn numbered(&self, number: u32) -> Option<usize> {
        self.by_number.get(&number).copied()
    }
}

impl Enum {
    /// The name of a number.
    pub(super) fn name(&self, number: i32) -> Option<&str> {
        self.rows.iter().find(|row| row.1 == number).map(|row| row.0.as_str())
    }

    /// The number of a name.
    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.rows.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

/// All declarations under their full names, those inside others too.
#[derive(Default)]
struct Declared<'a> {
    messages: Vec<(String, &'a DescriptorProto)>,
    enums: Vec<(String, &'a EnumDescriptorProto)>,
}

impl<'a> Declared<'a> {
    fn add_message(&mut self, within: &str, message: &'a DescriptorProto) {
        let name = format!("{within}.{}", message.name());
        message.nested_type.iter().for_each(|nested| self.add_message(&name, nested));
        message.enum_type.iter().for_each(|nested| self.add_enum(&name, nested));
        self.messages.push((name, message));
    }

    fn add_enum(&mut self, within: &str, names: &'a EnumDescriptorProto) {
        self.enums.push((format!("{within}.{}", names.name()), names));
    }
}

/// What fields refer to by name.
struct Known<'a> {
    declared: &'a Declared<'a>,
    messages: &'a HashMap<String, usize>,
    enums: &'a HashMap<String, usize>,
}

impl Known<'_> {
    fn message(&self, name: &str, message: &DescriptorProto) -> Message {
        let fields: Vec<Field> = message.field.iter().map(|field| self.field(name, field)).collect();
        let names = message.field.iter().enumerate();
        Message {
            shape: shape(name),
            by_name: names
                .flat_map(|(at, field)| [(field.name().to_owned(), at), (field.json_name().to_owned(), at)])
                .collect(),
            by_number: fields.iter().enumerate().map(|(at, field)| (field.number, at)).collect(),
            fields,
        }
    }

    fn field(&self, of: &str, field: &FieldDescriptorProto) -> Field {
        let kind = self.kind(field);
        let is_map = matches!(kind, Kind::Message(id) if self.declared.messages[id.0].1
            .options.as_ref().is_some_and(|options| options.map_entry()));
        Field {
            number: u32::try_from(field.number()).expect("field numbers are positive"),
            head: format!("\"{}\": ", field.json_name()),
            kind,
            many: match field.label() {
                Label::Repeated if is_map => Many::Map,
                Label::Repeated => Many::List,
                Label::Optional | Label::Required => Many::One,
            },
            only_if_set: is_newer(of, field.name()),
        }
    }

    fn kind(&self, field: &FieldDescriptorProto) -> Kind {
        let name = field.type_name().trim_start_matches('.');
        match field.r#type() {
            Type::String => Kind::Text,
            Type::Bool => Kind::Bool,
            Type::Uint32 => Kind::U32,
            Type::Int32 => Kind::I32,
            Type::Uint64 => Kind::U64,
            Type::Int64 => Kind::I64,
            Type::Float => Kind::F32,
            Type::Double => Kind::F64,
            Type::Bytes => Kind::Bytes,
            Type::Enum => Kind::Enum(EnumId(self.enums[name])),
            Type::Message => Kind::Message(MessageId(self.messages[name])),
            // No message of ours has the rest; a test says so.
            _ => Kind::Bytes,
        }
    }
}

fn shape(name: &str) -> Shape {
    let Some(of_library) = name.strip_prefix("google.protobuf.") else { return Shape::Object };
    match of_library {
        "Any" => Shape::Any,
        "Duration" => Shape::Duration,
        wrapper if wrapper.ends_with("Value") => Shape::Wrapper,
        _ => Shape::Object,
    }
}

fn enumeration(names: &EnumDescriptorProto) -> Enum {
    let rows = names.value.iter().map(|value| (value.name().to_owned(), value.number()));
    Enum { rows: rows.collect() }
}
