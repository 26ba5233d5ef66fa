#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What hfx prints as JSON is what the schema in docs/ says.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# What the schema does not mention is an error here, so that nobody forgets it.
cat >valid.py <<'END'
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)


def strict(schema):
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def main():
    with open(sys.argv[1]) as file:
        schema = strict(json.load(file))
    with open(sys.argv[3]) as file:
        document = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    del schema["anyOf"]
    schema["$ref"] = "#/$defs/" + sys.argv[2]
    jsonschema.Draft202012Validator(schema).validate(document)


main()
END

# valid KIND FILE: it is such a document.
valid()
{
	local got=0

	python3 valid.py "$source/docs/hfx.schema.json" "$1" "$2" \
		>valid.log 2>&1 || got=$?
	[ "$got" != 77 ] || skip "no python3-jsonschema"
	[ "$got" = 0 ] || die "$2: $(cat valid.log)"
}

json_of_a_process_is_as_the_schema_says()
{
	make_bundle
	start one
	"$hfx" list --json "$pid" >none.json
	valid list none.json
	"$hfx" check --json "$pid" fix.hfx >fits.json
	valid check fits.json
	"$hfx" check --json --stop --redirect-calls "$pid" fix.hfx >stop.json
	valid check stop.json
	json_is stop.json 'd["pause_ns"] > 0' True
	"$hfx" apply -q "$pid" fix.hfx
	"$hfx" check --json "$pid" fix.hfx >already.json && die "it applies"
	valid check already.json
	json_is already.json 'd["code"]' already-applied
	"$hfx" list --json "$pid" >one.json
	valid list one.json
	json_is one.json 'len(d["patches"][0]["functions"])' 1
	json_is one.json 'len(d["patches"][0]["other_code"])' 1
	# A document of another kind is none of this one.
	python3 valid.py "$source/docs/hfx.schema.json" status one.json \
		>valid.log 2>&1 && die "the schema accepts anything"
	"$hfx" revert -q "$pid" fix
	"$hfx" list --json "$pid" >reverted.json
	valid list reverted.json
	json_is reverted.json 'd["patches"][0]["state"]' reverted
}

json_of_a_host_is_as_the_schema_says()
{
	make_bundle
	start one
	"$hfx" status --json fix.hfx >fits.json || true
	valid status fits.json
	json_is fits.json "[p['state'] for p in d['processes'] \
if p['pid'] == $pid]" "['fits']"
	"$hfx" apply -q "$pid" fix.hfx
	"$hfx" status --json fix.hfx >applied.json || true
	valid status applied.json
	"$hfx" status --json >all.json || true
	valid status all.json
	json_is all.json "$pid in [p['pid'] for p in d['processes']]" True
	"$hfx" doctor --json >doctor.json || true
	valid doctor doctor.json
	"$hfx" doctor --json "$pid" >process.json || true
	valid doctor process.json
	"$hfx" persist --dir . --list --json >none.json
	valid persist none.json
	"$hfx" persist -q --dir . --redirect-calls fix.hfx
	"$hfx" persist --dir . --list --json >some.json
	valid persist some.json
	json_is some.json 'len(d["bundles"])' 1
}

"$case_name"
