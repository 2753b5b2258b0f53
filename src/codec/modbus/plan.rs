//! Which places of a device are read together.

use super::{MOST_REGISTERS, Request, Table};
use serde::Deserialize;

/// Places of one table that a register takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub table: Table,
    pub start: u16,
    /// How many registers or bits.
    pub count: u16,
}

/// Which registers are read by one request: `{gap: 8, count: 60}`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Join {
    /// The most unwanted registers between two wanted ones that are read along with them. Another request
    /// costs as much time as 10 registers. 16 coils or discrete inputs are as one register.
    pub gap: u16,
    /// The most registers in one request, at most 125. Some devices allow 80, 50 or fewer.
    pub count: u16,
}

impl Default for Join {
    fn default() -> Join {
        Join { gap: 10, count: MOST_REGISTERS }
    }
}

/// What one request reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub table: Table,
    pub start: u16,
    pub count: u16,
    /// Which of the places it covers, by their position in the list that was planned.
    pub members: Vec<usize>,
}

impl Place {
    /// The first place behind it; beyond the last address for places at the end.
    pub(super) fn end(self) -> u32 {
        u32::from(self.start) + u32::from(self.count)
    }
}

impl Join {
    /// The gap and the count in places of this table.
    fn of(self, table: Table) -> (u32, u32) {
        let places = if table.is_bits() { 16 } else { 1 };
        let count = self.count.clamp(1, MOST_REGISTERS);
        (places * u32::from(self.gap), places * u32::from(count))
    }
}

/// The fewest groups that read all of the places, each as it is: none is read in two halves. A place
/// that is longer than `join` allows is a group of its own.
pub fn plan(places: &[Place], join: Join) -> Vec<Group> {
    let mut order: Vec<_> = places.iter().enumerate().collect();
    order.sort_by_key(|(_, place)| (place.table, place.start, place.count));
    let mut groups: Vec<Group> = Vec::new();
    for (n, place) in order {
        match groups.last_mut().and_then(|group| Some((group.joined(*place, join)?, group))) {
            Some((count, group)) => {
                group.count = count;
                group.members.push(n);
            }
            None => groups.push(Group {
                table: place.table,
                start: place.start,
                count: place.count,
                members: vec![n],
            }),
        }
    }
    groups
}

impl Group {
    pub fn place(&self) -> Place {
        Place { table: self.table, start: self.start, count: self.count }
    }

    /// The count with another place, which does not begin before the group; `None` if they cannot be
    /// read together.
    fn joined(&self, place: Place, join: Join) -> Option<u16> {
        let (gap, most) = join.of(self.table);
        let end = self.place().end();
        let count = end.max(place.end()) - u32::from(self.start);
        let is_near = self.table == place.table && u32::from(place.start) <= end + gap;
        // What lies inside of a long place costs nothing.
        let is_inside = place.end() <= end;
        u16::try_from(count).ok().filter(|_| is_near && (is_inside || count <= most))
    }

    /// Two smaller groups with the same members, for a device that refuses this one; `None` if all
    /// members have the same place. They part at the hole nearest to the middle, without holes at the
    /// member nearest to it. `places` is the list that was planned.
    pub fn split(&self, places: &[Place]) -> Option<[Group; 2]> {
        let place = |n: &usize| places.get(*n).copied();
        let members: Vec<Place> = self.members.iter().filter_map(place).collect();
        let middle = 2 * u32::from(self.start) + u32::from(self.count);
        let mut end = 0;
        // Holes are better than other boundaries, and these are better than members that overlap.
        let mut best = None;
        for (n, pair) in members.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            end = before.end().max(end);
            let start = u32::from(after.start);
            if before == after {
                continue;
            }
            let rank = if start > end {
                0
            } else if start == end {
                1
            } else {
                2
            };
            let this = (rank, (start + end).abs_diff(middle), n + 1);
            best = Some(best.map_or(this, |best| this.min(best)));
        }
        let (_, _, at) = best?;
        let (left, right) = self.members.split_at_checked(at)?;
        Some([self.of(left, places)?, self.of(right, places)?])
    }

    /// The group of some of its members.
    fn of(&self, members: &[usize], places: &[Place]) -> Option<Group> {
        let of_members = || members.iter().filter_map(|n| places.get(*n));
        let start = of_members().map(|place| place.start).min()?;
        let end = of_members().map(|place| place.end()).max()?;
        let count = u16::try_from(end - u32::from(start)).ok()?;
        Some(Group { table: self.table, start, count, members: members.to_vec() })
    }

    /// The bytes of a member's place in the answer to this group; a coil's or discrete input's bit as
    /// a byte of 0 or 1. `None` if the answer is too short.
    pub fn slice<'a>(&self, place: Place, payload: &'a [u8]) -> Option<&'a [u8]> {
        let from = usize::from(place.start.checked_sub(self.start)?);
        if self.table.is_bits() {
            let bit = payload.get(from / 8)? >> (from % 8) & 1;
            return Some(if bit == 1 { &[1] } else { &[0] });
        }
        payload.get(2 * from..2 * (from + usize::from(place.count)))
    }
}

impl Place {
    /// The request that reads it.
    pub fn read(self) -> Request {
        Request::Read { table: self.table, start: self.start, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn places(list: &[(u16, u16)]) -> Vec<Place> {
        let place = |(start, count): &(u16, u16)| Place {
            table: Table::Input,
            start: *start,
            count: *count,
        };
        list.iter().map(place).collect()
    }

    /// Start, count and members of each group.
    fn shape(groups: &[Group]) -> Vec<(u16, u16, Vec<usize>)> {
        groups.iter().map(|it| (it.start, it.count, it.members.clone())).collect()
    }

    /// The registers of an Eastron SDM630: floats with holes.
    fn meter() -> Vec<Place> {
        let mut list: Vec<_> = (0..=0x54).step_by(2).filter(|at| at % 12 != 8).collect();
        list.push(0x156);
        places(&list.iter().map(|at| (*at, 2)).collect::<Vec<_>>())
    }

    #[test]
    fn near_registers_are_read_together_and_far_ones_are_not() {
        let groups = plan(&meter(), Join::default());
        assert_eq!(groups.iter().map(|it| it.start).collect::<Vec<_>>(), [0, 0x156]);
        assert_eq!(groups.iter().map(|it| it.count).collect::<Vec<_>>(), [86, 2]);
        let groups = plan(&places(&[(20, 1), (0, 1), (11, 2)]), Join { gap: 10, count: 125 });
        assert_eq!(shape(&groups), [(0, 21, vec![1, 2, 0])]);
        let groups = plan(&places(&[(0, 1), (12, 1)]), Join { gap: 10, count: 125 });
        assert_eq!(groups.len(), 2);
    }

    #[test]
    fn a_value_is_never_read_in_two_halves() {
        let groups = plan(&places(&[(0, 2), (2, 2), (4, 2)]), Join { gap: 0, count: 5 });
        assert_eq!(shape(&groups), [(0, 4, vec![0, 1]), (4, 2, vec![2])]);
        // Longer than allowed: alone, but for what lies inside of it.
        let groups = plan(&places(&[(0, 10), (4, 1), (10, 1)]), Join { gap: 9, count: 4 });
        assert_eq!(shape(&groups), [(0, 10, vec![0, 1]), (10, 1, vec![2])]);
    }

    #[test]
    fn sixteen_bits_count_as_a_register() {
        let coil = |start| Place { table: Table::Coil, start, count: 1 };
        let places = [coil(0), coil(161), coil(2000), coil(323)];
        let groups = plan(&places, Join::default());
        assert_eq!(shape(&groups), [(0, 162, vec![0, 1]), (323, 1, vec![3]), (2000, 1, vec![2])]);
    }

    #[test]
    fn a_refused_group_parts_at_holes_then_in_the_middle_then_ends() {
        let list = places(&[(0, 2), (2, 2), (8, 2), (10, 2), (12, 2)]);
        let [all] = plan(&list, Join::default()).try_into().unwrap();
        let halves = all.split(&list).unwrap();
        assert_eq!(shape(&halves), [(0, 4, vec![0, 1]), (8, 6, vec![2, 3, 4])]);
        let halves = halves[1].split(&list).unwrap();
        assert_eq!(shape(&halves), [(8, 2, vec![2]), (10, 4, vec![3, 4])]);
        assert_eq!(halves[0].split(&list), None);
    }

    #[test]
    fn fields_of_one_register_stay_together() {
        let list = places(&[(0, 1), (0, 1), (0, 1), (1, 1)]);
        let [all] = plan(&list, Join::default()).try_into().unwrap();
        let halves = all.split(&list).unwrap();
        assert_eq!(shape(&halves), [(0, 1, vec![0, 1, 2]), (1, 1, vec![3])]);
        assert_eq!(halves[0].split(&list), None);
    }

    fn any_places() -> impl Strategy<Value = Vec<Place>> {
        let table = prop_oneof![Just(Table::Coil), Just(Table::Input), Just(Table::Holding)];
        let place = (table, prop_oneof![0..300_u16, 65_000..=65_531_u16], 1..=4_u16);
        vec(place.prop_map(|(table, start, count)| Place { table, start, count }), 0..60)
    }

    fn covers(group: &Group, place: Place) -> bool {
        let all = group.place();
        all.table == place.table && all.start <= place.start && place.end() <= all.end()
    }

    proptest! {
        #[test]
        fn each_place_is_read_once_and_bounds_are_kept(
            places in any_places(),
            gap in 0..20_u16,
            count in 4..=125_u16,
        ) {
            let join = Join { gap, count };
            let groups = plan(&places, join);
            let mut members: Vec<_> = groups.iter().flat_map(|it| it.members.clone()).collect();
            members.sort_unstable();
            prop_assert_eq!(members, (0..places.len()).collect::<Vec<_>>());
            for group in &groups {
                let (gap, most) = join.of(group.table);
                prop_assert!(u32::from(group.count) <= most);
                let mut end = u32::from(group.start);
                for n in &group.members {
                    prop_assert!(covers(group, places[*n]));
                    prop_assert!(u32::from(places[*n].start) <= end + gap);
                    end = end.max(places[*n].end());
                }
                prop_assert_eq!(end, group.place().end());
            }
        }

        #[test]
        fn halves_keep_all_members_and_come_to_an_end(places in any_places()) {
            let mut groups = plan(&places, Join::default());
            while let Some(group) = groups.pop() {
                let Some(halves) = group.split(&places) else {
                    let first = places[group.members[0]];
                    prop_assert!(group.members.iter().all(|n| places[*n] == first));
                    continue;
                };
                let members: Vec<_> = halves.iter().flat_map(|it| it.members.clone()).collect();
                prop_assert_eq!(members, group.members);
                for half in halves {
                    prop_assert!(!half.members.is_empty());
                    prop_assert!(half.members.iter().all(|n| covers(&half, places[*n])));
                    groups.push(half);
                }
            }
        }

        #[test]
        fn each_member_finds_its_bytes(places in any_places()) {
            for group in plan(&places, Join::default()) {
                // Each register holds its own address; a coil is on where that is divisible by 3.
                let addresses = (0..group.count).map(|n| group.start.wrapping_add(n));
                let payload: Vec<u8> = match group.table.is_bits() {
                    true => super::super::packed(&addresses.map(|at| at % 3 == 0).collect::<Vec<_>>()),
                    false => addresses.flat_map(u16::to_be_bytes).collect(),
                };
                for n in &group.members {
                    let bytes = group.slice(places[*n], &payload).unwrap();
                    match group.table.is_bits() {
                        true => prop_assert_eq!(bytes, [u8::from(places[*n].start % 3 == 0)]),
                        false => {
                            prop_assert_eq!(&bytes[..2], places[*n].start.to_be_bytes());
                            prop_assert_eq!(bytes.len(), 2 * usize::from(places[*n].count));
                        }
                    }
                }
                prop_assert_eq!(group.slice(group.place(), &payload[..payload.len() - 1]).is_some(),
                    group.table.is_bits() && group.count > 8);
            }
        }
    }
}
