# Small files with the names that the commands of README.md have.
mkdir raw photos shots
simulated() { noisediag simulate --scene photo --size 96x96 --shot-gain 1e-3 --read-noise 5e-3 "$@" > /dev/null; }
simulated --bit-depth 8 -o photo.png
simulated --bit-depth 8 --seed 1 -o frame.png
simulated --frames 4 --black 100 -o stack.tif
for iso in 1 2; do
    simulated --bit-depth 14 --black 512 --size 192x192 --seed $iso --shot-gain ${iso}e-4 -o raw/$iso.dng
done
cp raw/1.dng photo.dng
noisediag simulate --scene stars --size 256x256 --black 500 --shot-gain 2e-5 --read-noise 5e-5 --exposure 0.02 \
    -o light.tif > /dev/null
simulated --seed 3 -o photos/a.png
simulated --seed 4 -o photos/b.tif
noisediag simulate --scene leaves --size 64x64 -o clean.tif > /dev/null
simulated --bit-depth 12 -o band.tif
echo path,sigma > shots/labels.csv
for i in $(seq 15 34); do
    simulated --size 64x64 --seed $i --read-noise 0.0$i -o shots/$i.png
    echo $i.png,0.0$i >> shots/labels.csv
done
