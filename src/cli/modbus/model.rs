//! All registers of a device file, read and shown with names and units.

use super::options::Options;
use super::values;
use crate::base::command_line::{CliError, write};
use crate::cli::modbus::master::Master;
use crate::cli::modbus::outcome::Outcome;
use crate::codec::modbus::{Group, Join, Place, Register, plan, register};
use crate::config::library::Library;
use std::path::Path;

pub(super) struct Model {
    registers: Vec<Register>,
    places: Vec<Place>,
    join: Join,
}

impl Model {
    /// Of a device file, by its name or its path. Its line holds where the command line says nothing.
    pub(super) fn load(name: &str, options: &mut Options) -> Result<Model, CliError> {
        let config = Library::beside(Path::new("")).device(name)?.whole()?;
        let Some((_, port)) = config.ports.first_key_value() else {
            return Err(CliError::Failed(format!("{name} describes no port")));
        };
        if port.registers.is_empty() {
            let what = format!("{name} is no Modbus device: its device file has no registers");
            return Err(CliError::Usage(what));
        }
        options.lay_over(port.line)?;
        let settings = port.registers.iter().map(|(name, register)| (name.as_str(), register));
        let mut registers = register::build_all(settings, port.byte_order).map_err(|errors| {
            CliError::Config(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        registers.sort_by_key(|register| (register.place.table, register.place.start));
        let places = registers.iter().map(|register| register.place).collect();
        Ok(Model { registers, places, join: port.join })
    }

    /// Reads all of them, and says whether the device answered.
    pub(super) async fn read(
        &self,
        master: &mut Master,
        options: &Options,
        unit: u8,
    ) -> Result<bool, CliError> {
        let mut texts: Vec<Option<String>> = vec![None; self.registers.len()];
        let mut groups = plan(&self.places, self.join);
        groups.reverse();
        while let Some(group) = groups.pop() {
            match master.ask(unit, &group.place().read()).await? {
                Outcome::Answer(payload) => self.take(&group, &payload, &mut texts),
                Outcome::Exception(exception) if exception.may_be_split() => {
                    match group.split(&self.places) {
                        Some([left, right]) => groups.extend([right, left]),
                        None => {
                            for n in &group.members {
                                if let Some(text) = texts.get_mut(*n) {
                                    *text = Some(format!("({exception})"));
                                }
                            }
                        }
                    }
                }
                outcome => {
                    self.print(&texts)?;
                    super::complain(options, unit, &outcome);
                    return Ok(false);
                }
            }
        }
        self.print(&texts)?;
        Ok(true)
    }

    fn take(&self, group: &Group, payload: &[u8], texts: &mut [Option<String>]) {
        for n in &group.members {
            let (Some(register), Some(text)) = (self.registers.get(*n), texts.get_mut(*n)) else {
                continue;
            };
            let bytes = group.slice(register.place, payload).unwrap_or_default();
            let unit = register.field.unit.as_deref().unwrap_or_default();
            let value = values::value(register, bytes);
            *text = Some(format!("{value} {unit}").trim_end().to_owned());
        }
    }

    fn print(&self, texts: &[Option<String>]) -> Result<(), CliError> {
        let width = self.registers.iter().map(|register| register.name.len()).max();
        let width = width.unwrap_or_default();
        let mut lines = String::new();
        for (register, text) in self.registers.iter().zip(texts) {
            let Some(text) = text else { continue };
            let Place { table, start, .. } = register.place;
            let place = format!("{}:0x{start:04X}", table.word());
            lines += &format!("{place:<15}  {:<width$}  {text}\n", register.name);
        }
        write(&lines).map(drop)
    }
}
