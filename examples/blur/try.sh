# Blurs examples/blur/photo.jpg into blurred.jpg. Run it in the root of the repository, after `make serve`.
echo '{"input":{"radius":8,"image":"data:image/jpeg;base64,'$(base64 < examples/blur/photo.jpg | tr -d '\n')'"}}' \
  | curl -s http://127.0.0.1:${PORT:-5000}/predictions -H 'Content-Type: application/json' -d @- \
  | python3 -c 'import json, sys, urllib.request as r; print(r.urlretrieve(json.load(sys.stdin)["output"], "blurred.jpg")[0])'
