// fields=: every form of it, and what comes out of a record.
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <string>

#include "api/ontap/fields.h"
#include "api/ontap/resources.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;
using Default = Selection::Default;

constexpr std::array kTable = {
    Field{"uuid", FieldType::kUuid, Access::kRo, Shown::kAlways},
    Field{"name"},
    Field{"svm.name"},
    Field{"svm.uuid", FieldType::kUuid},
    Field{"svmx"},
    Field{"secret", FieldType::kString, Access::kWo},
    Field{"state.code", FieldType::kString, Access::kRo, Shown::kAdvanced},
    Field{"state.node.name", FieldType::kString, Access::kRo, Shown::kAdvanced},
};

json::object record() {
  return json::parse(R"({"uuid":"u","name":"n","svm":{"name":"s","uuid":"v","_links":{"self":1}},
      "svmx":"x","secret":"never","other":"never",
      "state":{"code":"0","node":[{"name":"a","_links":{}},{"name":"b"}]},"_links":{"self":2}})")
      .as_object();
}

std::string shown(std::string_view fields, Default what = Default::kStandard, bool links = false) {
  const auto selection = Selection::parse(kTable, fields, what, false);
  if (!selection.ok()) return std::to_string(selection.status().code);
  return json::serialize(selection.value().project(record(), links));
}

TEST(OntapFields, WithoutFieldsAListShowsWhatIdentifiesAndARecordWhatIsStandard) {
  EXPECT_EQ(shown("", Default::kIdentity), R"({"uuid":"u"})");
  EXPECT_EQ(shown(""), R"({"uuid":"u","name":"n","svm":{"name":"s","uuid":"v"},"svmx":"x"})");
}

TEST(OntapFields, AStarIsAllThatIsStandardAndTwoAreAll) {
  const std::string standard = shown("", Default::kStandard);
  EXPECT_EQ(shown("*", Default::kIdentity), standard);
  EXPECT_EQ(shown("**", Default::kIdentity),
            R"({"uuid":"u","name":"n","svm":{"name":"s","uuid":"v"},"svmx":"x",)"
            R"("state":{"code":"0","node":[{"name":"a"},{"name":"b"}]}})");
}

TEST(OntapFields, NamesSelectAndTheKeyComesAlong) {
  EXPECT_EQ(shown("name"), R"({"uuid":"u","name":"n"})");
  EXPECT_EQ(shown("svm.name"), R"({"uuid":"u","svm":{"name":"s"}})");
  EXPECT_EQ(shown("svm"), R"({"uuid":"u","svm":{"name":"s","uuid":"v"}})");
  EXPECT_EQ(shown("svm.*"), shown("svm"));
  EXPECT_EQ(shown("name,svmx"), R"({"uuid":"u","name":"n","svmx":"x"})");
  EXPECT_EQ(shown(",,name,"), shown("name"));
}

TEST(OntapFields, AdvancedOnesComeWhenNamed) {
  EXPECT_EQ(shown("state.code"), R"({"uuid":"u","state":{"code":"0"}})");
  EXPECT_EQ(shown("state.node"), R"({"uuid":"u","state":{"node":[{"name":"a"},{"name":"b"}]}})");
  EXPECT_EQ(shown("state.**"), shown("state"));
}

TEST(OntapFields, ExclusionTakesAway) {
  EXPECT_EQ(shown("svm,!svm.uuid"), R"({"uuid":"u","svm":{"name":"s"}})");
  EXPECT_EQ(shown("*,!svm"), R"({"uuid":"u","name":"n","svmx":"x"})");
  EXPECT_EQ(shown("!svm", Default::kIdentity), shown("*,!svm"));
  EXPECT_EQ(shown("*,!uuid"), shown("*"));  // the key stays
}

TEST(OntapFields, BracesGroupAndNest) {
  EXPECT_EQ(shown("svm.{name,uuid}"), shown("svm"));
  EXPECT_EQ(shown("{name,svm.{name}}"), shown("name,svm.name"));
  EXPECT_EQ(shown("state.{code,node.{name}}"), shown("state"));
  EXPECT_EQ(shown("svm,!svm.{uuid}"), shown("svm.name"));
}

TEST(OntapFields, MistakesHaveTheirCodes) {
  for (const char* fields : {"svm.{name", "svm.name}", "{{name}", "svm.{name}x", "}", "{"})
    EXPECT_EQ(shown(fields), "262286") << fields;
  for (const char* fields : {"nothing", "name.x", "svm.namex", "name,nothing", "sv", "."})
    EXPECT_EQ(shown(fields), "262197") << fields;
  EXPECT_EQ(shown("secret"), "262249");
  EXPECT_EQ(shown(std::string(2000, '{')), "262286");
  EXPECT_EQ(shown("name" + std::string(4000, ',') + "svmx"), shown("name,svmx"));
}

TEST(OntapFields, UnknownNamesCanBeIgnored) {
  const auto selection = Selection::parse(kTable, "nothing,name", Default::kStandard, true);
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(json::serialize(selection.value().project(record(), false)),
            R"({"uuid":"u","name":"n"})");
}

TEST(OntapFields, LinksStayWithWhatHoldsThem) {
  EXPECT_EQ(shown("svm.name", Default::kStandard, true),
            R"({"uuid":"u","svm":{"name":"s","_links":{"self":1}},"_links":{"self":2}})");
  EXPECT_EQ(shown("_links", Default::kStandard, true), R"({"uuid":"u","_links":{"self":2}})");
}

TEST(OntapFields, AFieldIsBelowItsObjectOnly) {
  EXPECT_TRUE(is_below("a.b", "a"));
  EXPECT_TRUE(is_below("a", "a"));
  EXPECT_FALSE(is_below("ab", "a"));
  EXPECT_FALSE(is_below("a", "a.b"));
}

// The documented fields, their types and who may do what with them.
TEST(OntapFields, TheTableOfAwsKmsIsTheDocumentedOne) {
  struct Row {
    const char* path;
    FieldType type;
    bool read;
    bool create;
    bool modify;
    bool advanced;
  };
  constexpr auto kS = FieldType::kString;
  constexpr auto kI = FieldType::kInteger;
  constexpr auto kB = FieldType::kBoolean;
  constexpr auto kU = FieldType::kUuid;
  constexpr auto kE = FieldType::kEnum;
  const Row rows[] = {
      {"uuid", kU, true, false, false, false},
      {"scope", kE, true, false, false, false},
      {"svm.uuid", kU, true, true, false, false},
      {"svm.name", kS, true, true, false, false},
      {"region", kS, true, true, true, false},
      {"key_id", kS, true, true, false, false},
      {"access_key_id", kS, true, true, true, false},
      {"secret_access_key", kS, false, true, true, false},
      {"service", kS, true, true, true, false},
      {"default_domain", kS, true, true, true, false},
      {"host", kS, true, true, true, false},
      {"port", kI, true, true, true, false},
      {"polling_period", kI, true, true, true, false},
      {"timeout", kI, true, false, true, false},
      {"verify", kB, true, false, true, false},
      {"verify_host", kB, true, false, true, false},
      {"verify_ip", kB, true, false, true, false},
      {"skip_verify", kB, true, false, true, false},
      {"proxy_type", kE, true, true, true, false},
      {"proxy_host", kS, true, true, true, false},
      {"proxy_port", kI, true, true, true, false},
      {"proxy_username", kS, true, true, true, false},
      {"proxy_password", kS, false, true, true, false},
      {"encryption_context", kS, true, true, true, false},
      {"state.cluster_state", kB, true, false, false, true},
      {"state.code", kS, true, false, false, true},
      {"state.message", kS, true, false, false, true},
      {"amazon_reachability.reachable", kB, true, false, false, true},
      {"amazon_reachability.code", kS, true, false, false, true},
      {"amazon_reachability.message", kS, true, false, false, true},
      {"ekmip_reachability.node.name", kS, true, false, false, true},
      {"ekmip_reachability.node.uuid", kU, true, false, false, true},
      {"ekmip_reachability.reachable", kB, true, false, false, true},
      {"ekmip_reachability.code", kS, true, false, false, true},
      {"ekmip_reachability.message", kS, true, false, false, true},
  };
  EXPECT_EQ(std::size(rows), aws_kms_fields().size());
  for (const Row& row : rows) {
    const Field* field = find_field(aws_kms_fields(), row.path);
    ASSERT_NE(field, nullptr) << row.path;
    EXPECT_EQ(field->type, row.type) << row.path;
    EXPECT_EQ(is_readable(field->access), row.read) << row.path;
    EXPECT_EQ(is_creatable(field->access), row.create) << row.path;
    EXPECT_EQ(is_modifiable(field->access), row.modify) << row.path;
    EXPECT_EQ(field->shown == Shown::kAdvanced, row.advanced) << row.path;
  }
}

}  // namespace
}  // namespace rewrap::ontap
