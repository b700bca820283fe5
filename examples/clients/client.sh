#!/bin/sh
# Ask `rim-edge serve` with curl.
#
#     sh client.sh [http://127.0.0.1:8765]
#
# --fail-with-body (curl 7.76): a refusal's text is printed, and curl exits with 22.

server=${1:-http://127.0.0.1:8765}

post() {
    curl --silent --show-error --fail-with-body --no-buffer --noproxy '*' \
        --header 'Content-Type: application/json' --data-binary "$2" "$server$1"
}

post /ask '{"question": "Which vitamin deficiency causes scurvy?", "options": ["Vitamin A", "Vitamin B12", "Vitamin C"]}'
echo

# A text as it is written: a line "data: {…}" for each piece, and one for the whole.
post /generate '{"question": "Where is Mary?", "stream": true}' || echo " (no text: curl exited with $?)"

post /ask '{"question": "Which vitamin?", "options": ["Vitamin C"]}' || echo " (refused: curl exited with $?)"
