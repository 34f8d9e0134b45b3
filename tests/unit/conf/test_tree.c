/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "conf/report.h"
#include "conf/tree.h"

static struct bb_conf_errors errors;

static int
tree_read(struct bb_conf_tree *tree, const char *text, size_t len)
{
	struct bb_conf_report report = { .file = "f", .errors = &errors };

	errors.count = 0;
	return bb_conf_tree_read(tree, text, len, &report);
}

static void
refused(const char *text, const char *line)
{
	struct bb_conf_tree tree;

	assert_int_equal(tree_read(&tree, text, strlen(text)), -EINVAL);
	bb_conf_tree_fini(&tree);
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.line[0], line);
}

static void
nodes_know_their_lines_and_order(void **state)
{
	struct bb_conf_tree tree;
	const char *text = "a: 1\nb:\n  - x\n  - 'y'\n";

	(void)state;
	assert_int_equal(tree_read(&tree, text, strlen(text)), 0);
	const struct bb_conf_tree_node *root = bb_conf_tree_node(&tree, 1);
	assert_int_equal(root->type, BB_CONF_MAP);
	const uint32_t a = root->first, one = bb_conf_tree_node(&tree, a)->next;
	const uint32_t b = bb_conf_tree_node(&tree, one)->next, list = bb_conf_tree_node(&tree, b)->next;
	assert_string_equal(bb_conf_tree_text(&tree, a), "a");
	assert_string_equal(bb_conf_tree_text(&tree, one), "1");
	assert_int_equal(bb_conf_tree_node(&tree, b)->line, 2);
	assert_int_equal(bb_conf_tree_node(&tree, list)->next, 0);
	const uint32_t x = bb_conf_tree_node(&tree, list)->first, y = bb_conf_tree_node(&tree, x)->next;
	assert_int_equal(bb_conf_tree_node(&tree, x)->line, 3);
	assert_true(bb_conf_tree_node(&tree, x)->plain);
	assert_int_equal(bb_conf_tree_node(&tree, y)->line, 4);
	assert_false(bb_conf_tree_node(&tree, y)->plain);
	bb_conf_tree_fini(&tree);
}

static void
nothing_is_null(void **state)
{
	static const char *const texts[] = { "", "# only a comment\n", "---\n", "~", "null" };
	struct bb_conf_tree tree;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(tree_read(&tree, texts[i], strlen(texts[i])), 0);
		assert_true(bb_conf_tree_null(&tree, 1));
		bb_conf_tree_fini(&tree);
	}
	assert_int_equal(tree_read(&tree, "'null'", 6), 0);
	assert_false(bb_conf_tree_null(&tree, 1));
	bb_conf_tree_fini(&tree);
}

static void
what_could_blow_up_is_refused(void **state)
{
	(void)state;
	refused("a: &x 1\n", "f:1: anchors (&name) are not supported: write the value where it is used");
	refused("a: 1\nb: &x [1]\n",
		"f:2: anchors (&name) are not supported: write the value where it is used");
	refused("a: *x\n",
		"f:1: aliases (*name) are not supported: write the value out, in quotes if it begins with *");
	refused("a: !!int 1\n", "f:1: tags (!name) are not supported: write the value alone");
	refused("a: !x {}\n", "f:1: tags (!name) are not supported: write the value alone");
	refused("a: 1\n---\nb: 1\n", "f:2: a second document begins: a configuration is one document");
	refused("? [a]\n: 1\n", "f:1: a list or map cannot be a key: write \"key: value\"");
	refused("a: \"x\\0y\"\n", "f:1: value contains a zero byte: leave it out");
}

static void
depth_is_limited(void **state)
{
	struct bb_conf_tree tree;

	(void)state;
	assert_int_equal(tree_read(&tree, "[[[[[[[[]]]]]]]]", 16), 0);
	bb_conf_tree_fini(&tree);
	refused("[[[[[[[[[]]]]]]]]]", "f:1: nested too deeply: a configuration has at most 8 levels");
}

/* A text of len octets c between head and tail must be refused with that line, whatever it costs to build. */
static void
refused_when_long(const char *head, char c, size_t len, const char *line)
{
	struct bb_conf_tree tree;
	const size_t head_len = strlen(head);
	char *text = malloc(head_len + len);

	assert_non_null(text);
	memcpy(text, head, head_len);
	memset(text + head_len, c, len);
	assert_int_equal(tree_read(&tree, text, head_len + len), -EINVAL);
	bb_conf_tree_fini(&tree);
	free(text);
	assert_string_equal(errors.line[0], line);
}

static void
size_is_limited(void **state)
{
	(void)state;
	refused_when_long("a: ", 'x', 4097, "f:1: value of 4097 bytes is too long: at most 4096");
	refused_when_long("#", 'x', BB_CONF_BYTES_MAX,
		"f:1: 1048577 bytes are too long: a configuration has at most 1MiB");
	refused_when_long("a: ", '[', 500000, "f:1: nested too deeply: a configuration has at most 8 levels");
	refused_when_long("a:\n", '-', 10,
		"f:3: not valid YAML: could not find expected ':' while scanning a simple "
		"key: check indentation, quotes and colons here");
}

static void
values_are_limited(void **state)
{
	struct bb_conf_tree tree;
	const size_t len = 1u << 20;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	text[0] = '[';
	for (size_t i = 1; i + 1 < len; i += 2)
		memcpy(text + i, "a,", 2);
	text[len - 1] = ']';
	assert_int_equal(tree_read(&tree, text, len), -EINVAL);
	bb_conf_tree_fini(&tree);
	free(text);
	assert_string_equal(errors.line[0], "f:1: too many values: a configuration has at most 262144");
}

static void
broken_yaml_is_refused_at_its_line(void **state)
{
	(void)state;
	refused("a: 1\n b: 2\n", "f:2: not valid YAML: mapping values are not allowed in this context: check "
				 "indentation, quotes and colons here");
	refused("a: [1, 2\n",
		"f:2: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence: "
		"check indentation, quotes and colons here");
	refused("a: 1\nb: \"x\n",
		"f:3: not valid YAML: found unexpected end of stream while scanning a quoted "
		"scalar: check indentation, quotes and colons here");
	refused("a: 1\nb: \xff\n",
		"f:2: not valid YAML: invalid leading UTF-8 octet: check indentation, quotes and "
		"colons here");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_know_their_lines_and_order),
		cmocka_unit_test(nothing_is_null),
		cmocka_unit_test(what_could_blow_up_is_refused),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(size_is_limited),
		cmocka_unit_test(values_are_limited),
		cmocka_unit_test(broken_yaml_is_refused_at_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
