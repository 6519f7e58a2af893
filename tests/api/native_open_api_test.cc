// The OpenAPI document as a whole. That answers keep to it is checked by tests/cli/native_test.py.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <set>
#include <string>

#include "api/native/open_api.h"
#include "api/native/routes.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

// for_each_object visits an object and all below it.
void for_each_object(const json::value& value,
                     const std::function<void(const json::object&)>& visit) {
  if (const auto* array = value.if_array()) {
    for (const json::value& item : *array) for_each_object(item, visit);
  }
  if (const auto* object = value.if_object()) {
    visit(*object);
    for (const auto& [name, member] : *object) for_each_object(member, visit);
  }
}

const json::object& schemas() {
  return open_api_document().at("components").at("schemas").as_object();
}

TEST(OpenApi, EveryReferenceLeadsToASchemaAndEverySchemaIsUsed) {
  std::set<std::string> used;
  for_each_object(open_api_document(), [&](const json::object& object) {
    if (const json::value* reference = object.if_contains("$ref"))
      used.insert(std::string(reference->as_string()));
  });
  std::set<std::string> defined;
  for (const auto& [name, schema] : schemas())
    defined.insert("#/components/schemas/" + std::string(name));
  EXPECT_EQ(used, defined);
}

TEST(OpenApi, EveryMemberIsExplainedAndHasAType) {
  std::size_t count = 0;
  for (const auto& [name, schema] : schemas()) {
    for_each_object(schema, [&, &name = name](const json::object& object) {
      const json::value* properties = object.if_contains("properties");
      if (properties == nullptr) return;
      for (const auto& [member, property] : properties->as_object()) {
        const json::object& one = property.as_object();
        const bool is_list = one.contains("items");
        const bool has_type = one.contains("type") || one.contains("$ref") || one.contains("anyOf");
        EXPECT_TRUE(has_type) << name << "." << member;
        const json::value* help = one.if_contains("description");
        const bool is_explained = help != nullptr && !help->as_string().empty();
        EXPECT_TRUE(is_explained || is_list || one.contains("$ref")) << name << "." << member;
        ++count;
      }
    });
  }
  EXPECT_GT(count, 80U);
}

TEST(OpenApi, OperationsAreThoseOfTheRoutesEachWithItsOwnId) {
  std::set<std::string> ids;
  std::size_t count = 0;
  for (const auto& [path, operations] : open_api_document().at("paths").as_object()) {
    for (const auto& [method, operation] : operations.as_object()) {
      ids.insert(std::string(operation.at("operationId").as_string()));
      EXPECT_TRUE(operation.at("responses").as_object().contains("default")) << path;
      ++count;
    }
  }
  EXPECT_EQ(count, routes().size());
  EXPECT_EQ(ids.size(), routes().size());
}

TEST(OpenApi, WhatMayBeMissingIsNull) {
  const json::object& job = schemas().at("Job").at("properties").as_object();
  EXPECT_EQ(json::serialize(job.at("ended").at("type")), R"(["null","integer"])");
  EXPECT_EQ(json::serialize(job.at("error").at("type")), R"(["null","object"])");
  EXPECT_EQ(json::serialize(job.at("uuid").at("type")), R"("string")");
  EXPECT_EQ(json::serialize(job.at("uuid").at("format")), R"("uuid")");
  EXPECT_EQ(json::serialize(job.at("rate").at("type")), R"("number")");
  EXPECT_EQ(json::serialize(job.at("state").at("enum")),
            R"(["queued","running","paused","succeeded","failed","cancelled","incomplete"])");
  const json::value& version = schemas().at("Census").at("properties").at("versions").at("items");
  EXPECT_EQ(json::serialize(version.at("properties").at("root_keys").at("items")),
            R"({"type":"string"})");
}

}  // namespace
}  // namespace rewrap::native
