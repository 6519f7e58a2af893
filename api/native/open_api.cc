// Paths come from the routes, schemas of answers from records that are filled with nothing.
#include "api/native/open_api.h"

#include <boost/json/array.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "api/native/handlers.h"
#include "api/native/resources.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

const char* type_name(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "string";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kBoolean:
      return "boolean";
  }
  return "null";
}

json::object reference(std::string_view schema) {
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

json::object content(json::object schema) {
  return {{"application/json", {{"schema", std::move(schema)}}}};
}

json::object body_schema(std::span<const Field> fields) {
  json::object properties;
  json::array required;
  for (const Field& field : fields) {
    properties[field.name] = {{"type", type_name(field.type)}, {"description", field.help}};
    if (field.required) required.emplace_back(field.name);
  }
  json::object schema{
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

json::array parameters(const Route& route) {
  json::array list;
  for (std::string_view rest = route.pattern; rest.find('{') != std::string_view::npos;) {
    rest.remove_prefix(rest.find('{') + 1);
    list.push_back({{"name", rest.substr(0, rest.find('}'))},
                    {"in", "path"},
                    {"required", true},
                    {"schema", {{"type", "string"}}}});
  }
  for (const Field& field : route.query) {
    list.push_back({{"name", field.name},
                    {"in", "query"},
                    {"description", field.help},
                    {"schema", {{"type", type_name(field.type)}}}});
  }
  return list;
}

bool has_required(std::span<const Field> fields) {
  for (const Field& field : fields) {
    if (field.required) return true;
  }
  return false;
}

json::object operation(const Route& route) {
  json::object object{{"summary", route.summary}};
  if (json::array list = parameters(route); !list.empty()) object["parameters"] = std::move(list);
  if (!route.body.empty()) {
    object["requestBody"] = {{"required", has_required(route.body)},
                             {"content", content(body_schema(route.body))}};
  }
  object["responses"] = {
      {std::to_string(route.success),
       {{"description", route.summary}, {"content", content(reference(route.schema))}}},
      {"default", {{"description", "An error."}, {"content", content(reference("Error"))}}}};
  return object;
}

std::string lower(std::string_view method) {
  std::string out;
  for (const char c : method) out.push_back(static_cast<char>(c | 0x20));
  return out;
}

json::object paths() {
  json::object all;
  for (const Route& route : routes()) {
    const std::string path = "/v1" + std::string(route.pattern);
    if (!all.contains(path)) all[path] = json::object();
    all[path].as_object()[lower(route.method)] = operation(route);
  }
  return all;
}

// schema_of gives the members of an example. Null stands for what is not always there.
json::object schema_of(const json::object& example) {
  json::object properties;
  json::array required;
  for (const auto& [name, value] : example) {
    required.emplace_back(name);
    json::object schema;
    if (value.is_string()) schema["type"] = "string";
    if (value.is_bool()) schema["type"] = "boolean";
    if (value.is_double()) schema["type"] = "number";
    if (value.is_int64() || value.is_uint64()) schema["type"] = "integer";
    if (value.is_array()) schema["type"] = "array";
    properties[name] = std::move(schema);
  }
  return {
      {"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

json::object object_with(std::string_view member, json::object schema) {
  return {{"type", "object"},
          {"properties", {{member, std::move(schema)}}},
          {"required", json::array{json::string(member)}}};
}

json::object list_of(std::string_view member, std::string_view schema) {
  return object_with(member, {{"type", "array"}, {"items", reference(schema)}});
}

json::object job_start_schema() {
  return {{"type", "object"},
          {"properties", {{"job", reference("Job")}, {"is_new", {{"type", "boolean"}}}}},
          {"required", json::array{"job", "is_new"}}};
}

json::object schemas() {
  json::object error = object_with("reason", {{"type", "string"}});
  error["properties"].as_object()["message"] = {{"type", "string"}};
  error["properties"].as_object()["hint"] = {{"type", "string"}};
  return {{"Error", object_with("error", std::move(error))},
          {"Nothing", {{"type", "object"}}},
          {"Job", schema_of(job_json(Job()))},
          {"JobStart", job_start_schema()},
          {"Jobs", list_of("jobs", "Job")},
          {"Keyset", schema_of(keyset_json(KeysetInfo()))},
          {"Keysets", list_of("keysets", "Keyset")},
          {"Key", schema_of(key_json(KeyInfo()))},
          {"Keys", list_of("keys", "Key")},
          {"Census", schema_of(census_json(Census()))},
          {"Dek", schema_of(dek_json(WrappedDek()))},
          {"Ids", object_with("ids", {{"type", "array"}, {"items", {{"type", "string"}}}})},
          {"Node", schema_of(node_json(Node()))},
          {"Nodes", list_of("nodes", "Node")}};
}

json::object make_document() {
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "rewrapd"},
            {"version", "1"},
            {"description", "Keysets, jobs and nodes. Errors have one shape."}}},
          {"security", json::array{json::object{{"basic", json::array()}},
                                   json::object{{"certificate", json::array()}}}},
          {"paths", paths()},
          {"components",
           {{"securitySchemes",
             {{"basic", {{"type", "http"}, {"scheme", "basic"}}},
              {"certificate", {{"type", "mutualTLS"}}}}},
            {"schemas", schemas()}}}};
}

}  // namespace

const json::object& open_api_document() {
  static const json::object kDocument = make_document();
  return kDocument;
}

}  // namespace rewrap::native
