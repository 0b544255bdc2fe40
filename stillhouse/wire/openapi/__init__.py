"""The JSON of the wire in the words of OpenAPI: what each route takes and answers, as JSON Schemas."""
