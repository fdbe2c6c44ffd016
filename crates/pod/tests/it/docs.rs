//! The reference page and the code say the same.

#[test]
fn the_example_of_the_reference_is_a_declaration() {
    let page = include_str!("../../../../docs/reference/pod.md");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let pod = pod::spec::parse(example).unwrap_or_else(|error| panic!("{}", error.render("pod.md", example)));
    assert_eq!(pod.name, "web");
}
