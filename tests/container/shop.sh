# Read by the scripts beside it: the repository that a container keeps, in the folder $work.
# shellcheck shell=sh disable=SC2154 # engine, image and work are set by who reads this

# Makes $work/shop.git with one commit. Git serves it to its owner only, the user of the container.
make_shop() {
    git init -q --bare -b main "$work/shop.git"
    git clone -q "$work/shop.git" "$work/shop" 2>/dev/null
    (
        cd "$work/shop" || exit
        git checkout -q -b main
        printf '{ name = "shop", environments = { staging = {} } }\n' >stratum.ncl
        mkdir infra
        printf '{ local_file.a = { path = "a", content = "hello\\n" } }\n' >infra/staging.ncl
        git add -A
        git -c user.name=Ada -c user.email=ada@example.org commit -q -m one
        git push -q origin main
    )
    chmod 755 "$work"
    give_shop_to 10001:10001
}

# Changes the owner, as the container sees it.
give_shop_to() {
    "$engine" run --rm --user 0 --network none --entrypoint chown -v "$work/shop.git:/srv/shop.git" \
        "$image" -R "$1" /srv/shop.git
}
