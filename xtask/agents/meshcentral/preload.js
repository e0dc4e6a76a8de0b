// Loaded into every Node process of a MeshCentral server with NODE_OPTIONS=--require. It repairs known faults of
// the pinned version in memory, so that the installed package stays as the registry gave it, and shortens waits
// that only hold. A repair whose text is not found ends the server at once: the version has changed, and what it
// does without the repair is not known. MESHCENTRAL_WITHOUT names one repair that is left out.
'use strict';

const Module = require('module');
const path = require('path');

const COULD_NOT_REPAIR = 70;

const REPAIRS = [
    {
        // The chain goes out root first, and TLS then finds that key and certificate do not belong together
        // (MeshCentral issue 4901). Hello messages only.
        name: 'chain-order',
        file: 'amtprovisioningserver.js',
        from: "dev.certchain.certs.reverse().join('')",
        to: "dev.certchain.certs.join('')",
    },
    {
        // A variable that nobody declared, in a file with 'use strict'. TLS activation only.
        name: 'declared-version',
        file: 'amtmanager.js',
        from: "version = dev.aquired.version.split('.')",
        to: "var version = dev.aquired.version.split('.')",
    },
    {
        // Stored as `pass`, read as `password`: the device would be given a password that nobody knows.
        name: 'password-name',
        file: 'amtmanager.js',
        from: 'dev.aquired.pass = dev.temp.password;',
        to: 'dev.aquired.pass = dev.temp.pass;',
    },
    {
        // The server asks an agent for its AMT once, often before the agent has read SMBIOS and MEI. Ask again
        // when it reports an AMT, after the report has been written down.
        name: 'ask-again',
        file: 'meshagent.js',
        from: 'if (!device.intelamt) { device.intelamt = {}; }',
        to: 'if (!device.intelamt) { device.intelamt = {}; }'
            + ' if (!obj.askedAgain) { obj.askedAgain = true; setTimeout(obj.sendUpdatedIntelAmtPolicy, 1000); }',
    },
];

// Waits of these callbacks are pure holds, for firmware that is slow to settle. What must fit in is the agent's new
// report of the device's state, which the server asks for as it starts to wait: some 40 commands.
const HOLDS = new Set(['doManage', 'continueAcm', 'askState', 'askMeiState', 'tryAgainFunc']);
const HELD_AT_LEAST = 5000;
const HELD_NOW = 2500;

function repaired(filename, source) {
    if (path.basename(path.dirname(filename)) !== 'meshcentral') return source;
    const file = path.basename(filename);
    for (const { name, file: wanted, from, to } of REPAIRS) {
        if (wanted !== file || name === process.env.MESHCENTRAL_WITHOUT) continue;
        const parts = source.split(from);
        if (parts.length !== 2) {
            console.error(`PRELOAD: ${file}: expected once, found ${parts.length - 1} times: ${from}`);
            process.exit(COULD_NOT_REPAIR);
        }
        source = parts.join(to);
        console.log(`PRELOAD: repaired ${name}`);
    }
    return source;
}

const compile = Module.prototype._compile;
Module.prototype._compile = function (source, filename, ...rest) {
    return compile.call(this, repaired(filename, source), filename, ...rest);
};

if (process.env.MESHCENTRAL_WAITS !== 'real') {
    const wait = global.setTimeout;
    const shorter = function (callback, delay, ...rest) {
        const holds = callback && HOLDS.has(callback.name) && delay >= HELD_AT_LEAST;
        return wait(callback, holds ? HELD_NOW : delay, ...rest);
    };
    // What Node hangs on the function, such as the promise variant, must stay there.
    Object.defineProperties(shorter, Object.getOwnPropertyDescriptors(wait));
    global.setTimeout = shorter;
}
