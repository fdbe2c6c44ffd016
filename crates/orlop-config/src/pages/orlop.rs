//! Examples of the rules of our own variant and of what comes with it: fragments, variables, pods, health checks, updates.

use super::butane::{Example, example};

pub(super) const EXAMPLES: &[Example] = &[
    example(
        "fragment-local",
        "Name the file, relative to the folder that `-d` names.",
        "orlop 1.0.0\nconfig:\n  merge:\n    - local: \"\"\n",
        "orlop 1.0.0\nconfig:\n  merge: []\n",
    ),
    example(
        "variable-name",
        "Names are written into texts as `${NAME}`, so they are plain.",
        "orlop 1.0.0\nvariables:\n  - name: web-port\n    default: \"80\"\n",
        "orlop 1.0.0\nvariables:\n  - name: web_port\n    default: \"80\"\n",
    ),
    example(
        "variable-duplicate",
        "Which of the two would count is anybody's guess.",
        "orlop 1.0.0\nvariables:\n  - name: port\n    default: \"80\"\n  - name: port\n    default: \"81\"\n",
        "orlop 1.0.0\nvariables:\n  - name: port\n    default: \"80\"\n",
    ),
    example(
        "variable-type",
        "The type says what `--set` accepts; without one it is a string.",
        "orlop 1.0.0\nvariables:\n  - name: port\n    type: number\n",
        "orlop 1.0.0\nvariables:\n  - name: port\n    type: int\n",
    ),
    example(
        "variable-value",
        "A value is checked against the type when it is given, so that faults are found here and not on the machine.",
        "orlop 1.0.0\nvariables:\n  - name: port\n    type: int\n    default: http\n",
        "orlop 1.0.0\nvariables:\n  - name: port\n    type: int\n    default: 80\n",
    ),
    example(
        "variable-required",
        "Give it with `--set NAME=VALUE` or `--set-file NAME=PATH`.",
        "orlop 1.0.0\nvariables:\n  - name: image\n    required: true\n",
        "orlop 1.0.0\nvariables:\n  - name: image\n    default: registry.example/web:1\n",
    ),
    example(
        "variable-syntax",
        "A dollar sign with a brace that is meant as it stands is written `$${`.",
        "orlop 1.0.0\nvariables:\n  - name: greeting\n    default: Hello\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: ${greeting} ${ }\n",
        "orlop 1.0.0\nvariables:\n  - name: greeting\n    default: Hello\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: ${greeting} $${ }\n",
    ),
    example(
        "variable-undeclared",
        "What a file refers to is declared in it, so that it can be read by itself.",
        "orlop 1.0.0\nvariables:\n  - name: greting\n    default: Hello\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: ${greeting}\n",
        "orlop 1.0.0\nvariables:\n  - name: greeting\n    default: Hello\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: ${greeting}\n",
    ),
    example(
        "variable-unset",
        "Give it a default, or a value with `--set`.",
        "orlop 1.0.0\nvariables:\n  - name: greeting\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: ${greeting}\n",
        "orlop 1.0.0\nvariables:\n  - name: greeting\n    default: Hello\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: ${greeting}\n",
    ),
    example(
        "variable-list",
        "A list takes the place of a whole value.",
        "orlop 1.0.0\nvariables:\n  - name: hosts\n    type: list\n    default: [a, b]\nstorage:\n  files:\n    - path: /etc/motd\n      contents:\n        inline: hosts ${hosts}\n",
        "orlop 1.0.0\nvariables:\n  - name: keys\n    type: list\n    default: [a, b]\npasswd:\n  users:\n    - name: core\n      ssh_authorized_keys: ${keys}\n",
    ),
    example(
        "pod-name",
        "The name is the pod's host name.",
        "orlop 1.0.0\npods:\n  - name: Web\n    image: registry.example/web:1\n",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n",
    ),
    example(
        "pod-content",
        "The short form has an image; a whole Pod is given inline or as a local file.",
        "orlop 1.0.0\npods:\n  - name: web\n",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n",
    ),
    example(
        "pod-port",
        "The container's port comes last.",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n    ports: [\"80:http\"]\n",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n    ports: [\"80:8080\"]\n",
    ),
    example(
        "pod-volume",
        "The place in the container is an absolute path.",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n    volumes: [\"/srv/www:www\"]\n",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n    volumes: [\"/srv/www:/www\"]\n",
    ),
    example(
        "pod-restart",
        "",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n    restart: sometimes\n",
        "orlop 1.0.0\npods:\n  - name: web\n    image: registry.example/web:1\n    restart: on-failure\n",
    ),
    example(
        "health-name",
        "",
        "orlop 1.0.0\nhealth_checks:\n  - name: web page\n    unit: web.service\n",
        "orlop 1.0.0\nhealth_checks:\n  - name: web-page\n    unit: web.service\n",
    ),
    example(
        "health-kind",
        "Make two checks of two questions.",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    unit: web.service\n    command: [/usr/bin/true]\n",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    unit: web.service\n",
    ),
    example(
        "health-unit",
        "",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    unit: web\n",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    unit: web.service\n",
    ),
    example(
        "health-command",
        "There is no shell and no search path.",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    command: [systemctl, is-active, web]\n",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    command: [/usr/bin/systemctl, is-active, web]\n",
    ),
    example(
        "health-url",
        "",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    http: {url: \"localhost:80\"}\n",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    http: {url: \"http://localhost:80/\"}\n",
    ),
    example(
        "health-seconds",
        "",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    unit: web.service\n    interval_secs: 0\n",
        "orlop 1.0.0\nhealth_checks:\n  - name: web\n    unit: web.service\n    interval_secs: 10\n",
    ),
    example(
        "update-strategy",
        "",
        "orlop 1.0.0\nupdates:\n  strategy: nightly\n",
        "orlop 1.0.0\nupdates:\n  strategy: immediate\n",
    ),
    example(
        "update-windows",
        "",
        "orlop 1.0.0\nupdates:\n  strategy: window\n",
        "orlop 1.0.0\nupdates:\n  strategy: window\n  windows: [{days: [sat], start: \"03:00\", length_minutes: 60}]\n",
    ),
    example(
        "update-window",
        "",
        "orlop 1.0.0\nupdates:\n  strategy: window\n  windows: [{days: [sat], start: \"3 am\", length_minutes: 60}]\n",
        "orlop 1.0.0\nupdates:\n  strategy: window\n  windows: [{days: [sat], start: \"03:00\", length_minutes: 60}]\n",
    ),
];
